"""`tensorhop run`: what its options mean."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import typer

from tensorhop.client import PipelineClient
from tensorhop.errors import InvalidInput
from tensorhop.observe.tracing import start_tracing
from tensorhop.orchestrator.commands import run_options
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.orchestrator.launch.model_choices import model_choices
from tensorhop.orchestrator.run.files import STDIN, WrongUse, find_inputs
from tensorhop.orchestrator.run.manifest import Line, count_lines, open_manifest, open_results, read_tasks
from tensorhop.orchestrator.run.photo_request import Destination, PhotoOptions, PhotoRequest, PhotoTask, photo_request
from tensorhop.orchestrator.run.reporter import Reporter
from tensorhop.orchestrator.run.runner import FAILED, JOBS, run
from tensorhop.rpc.security import Security
from tensorhop.serving.command import TrustRemoteCode
from tensorhop.serving.settings_options import sharing_client_options
from tensorhop.wire.allocator import keep_large_buffers

INTERRUPTED, TERMINATED = 130, 143


@sharing_client_options
def run_command(
    images: run_options.Images = None,
    manifest: run_options.ManifestFile = None,
    prompt: run_options.Prompt = None,
    look: run_options.LookOption = None,
    describe_prompt: run_options.DescribePrompt = "",
    box: run_options.BoxText = None,
    mask: run_options.MaskFile = None,
    max_objects: run_options.MaxObjects = 4,
    max_parallel: run_options.MaxParallel = 4,
    merge: run_options.Merge = False,
    recursive: run_options.Recursive = False,
    preset: run_options.PresetName = None,
    center: run_options.Center = None,
    canvas: run_options.Canvas = None,
    fill: run_options.Fill = None,
    max_scale: run_options.MaxScale = None,
    refine: run_options.Refine = None,
    decontaminate: run_options.Decontaminate = None,
    shadow: run_options.Shadow = None,
    rot: run_options.Rot = None,
    shadow_length: run_options.ShadowLength = None,
    shadow_softness: run_options.ShadowSoftness = None,
    shadow_opacity: run_options.ShadowOpacity = None,
    encoding: run_options.Format = None,
    quality: run_options.Quality = None,
    background: run_options.Background = None,
    out: run_options.Out = "out",
    name: run_options.NameTemplate = None,
    overlay: run_options.Overlay = None,
    as_json: run_options.AsJson = False,
    save_steps: run_options.SaveSteps = None,
    jobs: run_options.Jobs = JOBS,
    resume: run_options.Resume = False,
    fail_fast: run_options.FailFast = False,
    endpoint: run_options.Endpoint = None,
    no_cache: run_options.NoCache = False,
    model: run_options.StepModel = None,
    device: run_options.StepDevice = None,
    dtype: run_options.StepDtype = None,
    revision: run_options.StepRevision = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Cut the objects out of photos.

    Exit code: 0 every photo gave a cut-out, 1 something failed, 2 wrong use,

    3 nothing was found, 4 the endpoint cannot be reached or wants a token, 130 interrupted, 143 terminated.
    """
    keep_large_buffers()
    security = Security.of()
    try:
        start_tracing("tensorhop-run")
        choices = model_choices(model or [], device or [], dtype or [], revision or [], trust_remote_code)
        if endpoint and choices:
            raise WrongUse("--model is for services that start here; those of --endpoint run theirs already")
        run_options.check_manifest(images or [], manifest, {"--box": box, "--mask": mask, "--recursive": recursive})
        inputs = find_inputs(images or [], recursive, out)
        if len(inputs) > 1 and (box or mask):
            raise WrongUse(f"--box and --mask belong to one photo; there are {len(inputs)}")
        single = out == "-" or (Path(out).suffix != "" and not Path(out).is_dir())
        run_options.check_out(out, single, len(inputs), overlay, as_json, resume, manifest is not None)
        place = Destination(None if out == "-" else Path(out), single, name, save_steps)
        chosen = PhotoOptions(
            look=look,
            describe_prompt=describe_prompt,
            cache=not no_cache,
            max_objects=max_objects,
            max_parallel=max_parallel,
            merge=merge,
            preset=preset,
            center=center,
            canvas=canvas,
            fill=fill,
            max_scale=max_scale,
            refine=refine,
            decontaminate=decontaminate,
            shadow=shadow,
            rot=rot,
            shadow_length=shadow_length,
            shadow_softness=shadow_softness,
            shadow_opacity=shadow_opacity,
            format=encoding,
            quality=quality,
            background=background,
            overlay=overlay,
        )
        plan = photo_request(
            chosen,
            place,
            phrases=prompt or [],
            boxes=[run_options.parse_box(text) for text in box or []],
            masks=[run_options.read_mask_file(path) for path in mask or []],
        )

        def plan_line(line: Line) -> PhotoRequest:
            return photo_request(
                chosen.under(line.options), place, phrases=line.phrases or prompt or [], boxes=line.boxes
            )

        tasks: Iterable[PhotoTask] = [PhotoTask(photo, plan) for photo in inputs]
        total: int | None = len(inputs)
        if manifest is not None:
            folder = Path() if manifest == STDIN else Path(manifest).parent
            tasks, total = read_tasks(open_manifest(manifest), folder, plan_line), count_lines(manifest)
        results = None if manifest is None else open_results(Path(out))
    except (WrongUse, InvalidInput) as error:
        raise typer.BadParameter(str(error)) from error
    try:
        with ExitStack() as stack:
            stack.enter_context(signals())
            if results:
                stack.enter_context(results)
            if endpoint is None:
                from tensorhop.orchestrator.launch.in_process import one_process

                security = Security()  # nobody else is there
                addresses = dict.fromkeys((*PIPELINE.calls, PIPELINE.name), "127.0.0.1:0")
                servers = stack.enter_context(one_process(addresses, choices, security=security))
                endpoint = servers[PIPELINE.name].address
            client = stack.enter_context(PipelineClient(endpoint, security=security))
            reporter = stack.enter_context(Reporter(as_json, total, results))
            code = run(tasks, client, reporter, jobs=jobs, resume=resume, fail_fast=fail_fast)
    except Terminated:
        typer.echo("terminated", err=True)
        code = TERMINATED
    except KeyboardInterrupt:
        typer.echo("interrupted", err=True)
        code = INTERRUPTED
    except BrokenPipeError:
        raise  # the reader of standard output has gone; typer ends the process quietly
    except OSError as error:  # the results of a manifest cannot be written any more
        typer.echo(f"Error: {error}", err=True)
        code = FAILED
    raise typer.Exit(code)


class Terminated(KeyboardInterrupt):
    """SIGTERM came."""


@contextmanager
def signals() -> Iterator[None]:
    """Have SIGTERM end the work as SIGINT does, by an exception. A second signal ends the process at once."""

    def end(number: int, frame: object) -> None:
        for one in before:
            signal.signal(one, signal.SIG_DFL)
        raise Terminated if number == signal.SIGTERM else KeyboardInterrupt

    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    for number in before:
        if before[number] is not signal.SIG_IGN:  # as a shell has it for its background jobs
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
