"""`tensorhop run`: what its options mean."""

import signal
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import typer

from orchestrator import options
from orchestrator.choices import choices_of
from orchestrator.files import STDIN, WrongUse, find_inputs
from orchestrator.manifest import Line, count_lines, open_manifest, open_results, read_tasks
from orchestrator.plan import PhotoOptions, Place, Plan, Task, plan_photo
from orchestrator.report import Reporter
from orchestrator.run import FAILED, JOBS, run
from tensorhop.client import PipelineClient
from tensorhop.command import TrustRemoteCode
from tensorhop.errors import InvalidInput
from tensorhop.memory import keep_large_buffers
from tensorhop.security import Security, from_environment
from tensorhop.server_options import sharing_client_options
from tensorhop.settings import PORTS
from tensorhop.tracing import start_tracing

INTERRUPTED, TERMINATED = 130, 143


@sharing_client_options
def run_command(
    images: options.Images = None,
    manifest: options.ManifestFile = None,
    prompt: options.Prompt = None,
    look: options.LookOption = None,
    describe_prompt: options.DescribePrompt = "",
    box: options.BoxText = None,
    mask: options.MaskFile = None,
    max_objects: options.MaxObjects = 4,
    max_parallel: options.MaxParallel = 4,
    merge: options.Merge = False,
    recursive: options.Recursive = False,
    preset: options.PresetName = None,
    center: options.Center = None,
    canvas: options.Canvas = None,
    fill: options.Fill = None,
    max_scale: options.MaxScale = None,
    refine: options.Refine = None,
    decontaminate: options.Decontaminate = None,
    shadow: options.Shadow = None,
    rot: options.Rot = None,
    shadow_length: options.ShadowLength = None,
    shadow_softness: options.ShadowSoftness = None,
    shadow_opacity: options.ShadowOpacity = None,
    encoding: options.Format = None,
    quality: options.Quality = None,
    background: options.Background = None,
    out: options.Out = "out",
    name: options.NameTemplate = None,
    overlay: options.Overlay = None,
    as_json: options.AsJson = False,
    save_steps: options.SaveSteps = None,
    jobs: options.Jobs = JOBS,
    resume: options.Resume = False,
    fail_fast: options.FailFast = False,
    endpoint: options.Endpoint = None,
    no_cache: options.NoCache = False,
    model: options.StepModel = None,
    device: options.StepDevice = None,
    dtype: options.StepDtype = None,
    revision: options.StepRevision = None,
    trust_remote_code: TrustRemoteCode = False,
) -> None:
    """Cut the objects out of photos.

    Exit code: 0 every photo gave a cut-out, 1 something failed, 2 wrong use,

    3 nothing was found, 4 the endpoint cannot be reached or wants a token, 130 interrupted, 143 terminated.
    """
    keep_large_buffers()
    security = from_environment()
    try:
        start_tracing("tensorhop-run")
        choices = choices_of(model or [], device or [], dtype or [], revision or [], trust_remote_code)
        if endpoint and choices:
            raise WrongUse("--model is for services that start here; those of --endpoint run theirs already")
        options.check_manifest(images or [], manifest, {"--box": box, "--mask": mask, "--recursive": recursive})
        inputs = find_inputs(images or [], recursive, out)
        if len(inputs) > 1 and (box or mask):
            raise WrongUse(f"--box and --mask belong to one photo; there are {len(inputs)}")
        single = out == "-" or (Path(out).suffix != "" and not Path(out).is_dir())
        options.check_out(out, single, len(inputs), overlay, as_json, resume, manifest is not None)
        place = Place(None if out == "-" else Path(out), single, name, save_steps)
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
        plan = plan_photo(
            chosen,
            place,
            phrases=prompt or [],
            boxes=[options.parse_box(text) for text in box or []],
            masks=[options.read_mask_file(path) for path in mask or []],
        )

        def plan_line(line: Line) -> Plan:
            return plan_photo(chosen.under(line.options), place, phrases=line.phrases or prompt or [], boxes=line.boxes)

        tasks: Iterable[Task] = [Task(photo, plan) for photo in inputs]
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
                from orchestrator.local import one_process

                security = Security()  # nobody else is there
                addresses = dict.fromkeys(PORTS, "127.0.0.1:0")
                servers = stack.enter_context(one_process(addresses, choices, security=security))
                endpoint = servers["pipeline"].address
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
