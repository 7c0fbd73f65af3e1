"""TLS, client certificates and tokens on real sockets, with certificates made here."""

import contextlib
import datetime
import http.client
import json
import socket
import ssl

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from waiting import GUARD

from tensorhop.client.cutouts.pipeline import PipelineClient
from tensorhop.errors import InvalidInput, ServiceFault
from tensorhop.healthcheck import failure
from tensorhop.orchestrator.chain.steps import Steps
from tensorhop.orchestrator.cutouts.service import SERVICE as CUTOUTS
from tensorhop.orchestrator.cutouts.service import SERVICE as PIPELINE
from tensorhop.orchestrator.cutouts.servicer import PipelineServicer
from tensorhop.orchestrator.run.runner import UNREACHABLE, code_of
from tensorhop.rpc.channel import open_channel
from tensorhop.rpc.registry import steps_of
from tensorhop.rpc.remote import Remote
from tensorhop.rpc.security import Security, explain
from tensorhop.rpc.server import Server
from tensorhop.rpc.status import from_error
from tensorhop.services.postprocess.service import SERVICE as POSTPROCESS
from tensorhop.settings import use_settings
from tensorhop.v1 import fault_pb2 as pb
from tensorhop.v1 import info_pb2, info_pb2_grpc, postprocess_pb2
from tensorhop.values.results import Summary
from tensorhop.web.serve import HttpServer
from tensorhop.wire.codec import Packet
from tensorhop.wire.payloads import Payloads

STEPS = {name: step.descriptor for name, step in steps_of(CUTOUTS).items()}

HOST = "127.0.0.1:0"
NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(1)


class Files:
    """A folder of certificates, keys, authorities and tokens."""

    def __init__(self, folder):
        self.folder = folder
        self.authority, other = trustme.CA(), trustme.CA()
        self.write("ca", self.authority.cert_pem.bytes())
        self.write("other_ca", other.cert_pem.bytes())
        self.issue("server", "127.0.0.1", "localhost")
        self.issue("client", "client")
        self.issue("elsewhere", "photos.example.org")
        self.issue("expired", "127.0.0.1", not_before=NOW - 2 * DAY, not_after=NOW - DAY)
        self.issue("stranger", "client", by=other)

    def write(self, name, data):
        path = self.folder / name
        path.write_bytes(data)
        return str(path)

    def path(self, name):
        return str(self.folder / name)

    def issue(self, name, *hosts, by=None, **validity):
        made = (by or self.authority).issue_cert(*hosts, **validity)
        self.write(f"{name}.key", made.private_key_pem.bytes())
        self.write(name, b"".join(pem.bytes() for pem in made.cert_chain_pems))

    def pair(self, name, **more):
        return Security(tls_cert=self.path(name), tls_key=self.path(f"{name}.key"), **more)

    def trusting(self, ca="ca", **more):
        return Security(tls_ca=self.path(ca), **more)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def tokens(files):
    return Security(token_file=files.write("tokens", b"first\n\nsecond\r\n"))


@contextlib.contextmanager
def serving(security, address=HOST):
    server = Server(POSTPROCESS, POSTPROCESS.load(), address, security)
    try:
        yield server
    finally:
        server.stop(0).wait(GUARD)


def info(address, security=Security(), **options):  # noqa: B008  (frozen)
    """What the server says of itself, or the fault of the call."""
    with open_channel(address, security=security) as channel:
        try:
            return info_pb2_grpc.InfoServiceStub(channel).GetInfo(info_pb2.GetInfoRequest(), timeout=GUARD, **options)
        except grpc.RpcError as error:
            return from_error(error).fault


def refused(address, security, words):
    fault = info(address, security)
    assert isinstance(fault, pb.Fault), "the call was answered"
    assert (fault.code, fault.retryable) == (pb.CODE_UNAVAILABLE, True)
    assert words in fault.message
    assert fault.message.count(". ") == 0, "one sentence"


# TLS.


def test_a_server_with_a_certificate_speaks_tls_only(files):
    with serving(files.pair("server")) as server:
        assert info(server.address, files.trusting()).service == "postprocess"
        refused(server.address, Security(), "wants TLS (--tls-ca)")
        refused(server.address, files.trusting("other_ca"), "no authority in --tls-ca has signed")


@pytest.mark.parametrize(
    ("name", "words"), [("expired", "has expired"), ("elsewhere", "for another name than the one that was called")]
)
def test_a_certificate_that_is_no_good_is_named(files, name, words):
    with serving(files.pair(name)) as server:
        refused(server.address, files.trusting(), words)


def test_a_unix_socket_takes_tls_and_tokens(files, tokens, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path may have about 100 characters
    security = files.pair("server", tls_ca=files.path("ca"), token_file=tokens.token_file)
    with serving(security, "unix:s.sock") as server:
        assert info(server.address, security).service == "postprocess"
        assert info(server.address, files.trusting()).code == pb.CODE_UNAUTHENTICATED
        refused(server.address, Security(), "wants TLS")


def test_tls_to_a_server_without_it_is_named(files):
    with serving(Security()) as server:
        refused(server.address, files.trusting(), "speaks no TLS")


def test_clients_must_show_a_certificate_if_asked(files):
    security = files.pair("server", tls_ca=files.path("ca"), require_client_cert=True)
    with serving(security) as server:
        assert info(server.address, files.pair("client", tls_ca=files.path("ca"))).service == "postprocess"
        refused(server.address, files.trusting(), "a client certificate that it trusts")
        refused(server.address, files.pair("stranger", tls_ca=files.path("ca")), "a client certificate")


def test_a_new_certificate_is_used_without_a_restart(files, caplog):
    """And a half-written one is not."""

    def shown():
        address, port = server.address.split(":")
        return ssl.get_server_certificate((address, int(port)))

    files.issue("renewed", "127.0.0.1")
    with serving(files.pair("renewed")) as server:
        first = shown()
        assert shown() == first
        files.issue("renewed", "127.0.0.1")
        second = shown()
        assert second != first
        (files.folder / "renewed.key").write_text("half")
        assert shown() == second
        assert "the certificate stays as it was: --tls-key" in caplog.text
        assert info(server.address, files.trusting()).service == "postprocess"


def test_a_client_uses_new_files_without_a_restart(files, caplog):
    """The pipeline keeps its connections for as long as it lives."""
    security = files.pair("server", tls_ca=files.path("ca"), require_client_cert=True)
    files.issue("own", "client", not_before=NOW - 2 * DAY, not_after=NOW - DAY)
    with serving(security) as server:
        remote = Remote(server.address, STEPS["postprocess"], files.pair("own", tls_ca=files.path("ca")))

        def ask():
            packet = Packet(postprocess_pb2.PostprocessRequest(), Payloads())
            with pytest.raises(grpc.RpcError) as caught:
                next(remote.call("Postprocess", packet, timeout=GUARD))
            return caught.value.code(), from_error(caught.value).fault.message

        code, message = ask()
        assert code == grpc.StatusCode.UNAVAILABLE
        assert "a client certificate that it trusts" in message
        files.issue("own", "client")
        assert ask()[0] == grpc.StatusCode.INVALID_ARGUMENT, "it was let in"
        files.write("own.key", b"half")
        assert ask()[0] == grpc.StatusCode.INVALID_ARGUMENT
        assert "stay as they were: --tls-key" in caplog.text
        remote.close()


@pytest.mark.parametrize(
    ("options", "field", "words"),
    [
        ({"tls_cert": "missing", "tls_key": "server.key"}, "--tls-cert", "cannot be read: No such file"),
        ({"tls_cert": "server", "tls_key": "missing"}, "--tls-key", "cannot be read: No such file"),
        ({"tls_cert": "server", "tls_key": "client.key"}, "--tls-key", "is not the key of the certificate"),
        ({"tls_cert": "ca", "tls_key": "ca"}, "--tls-key", "in PEM"),
        ({"tls_cert": "server"}, "--tls-cert", "needs --tls-key"),
        ({"tls_key": "server.key"}, "--tls-key", "needs --tls-cert"),
        ({"tls_ca": "missing"}, "--tls-ca", "cannot be read"),
        ({"tls_ca": "server.key"}, "--tls-ca", "no certificates in PEM"),
        ({"token_file": "missing"}, "--token-file", "cannot be read"),
        ({"token_file": "empty"}, "--token-file", "holds no token"),
        ({"token_file": "spaces"}, "--token-file", "token 2 is not of printable ASCII"),
    ],
)
def test_files_that_cannot_be_used_are_named(files, options, field, words):
    files.write("empty", b"\n\n")
    files.write("spaces", b"good\nnot good\n")
    security = Security(**{name: files.path(file) for name, file in options.items()})
    with pytest.raises(InvalidInput, match=r"^--") as caught:
        Server(POSTPROCESS, POSTPROCESS.load(), HOST, security).stop(0)
    assert caught.value.field == field
    assert words in str(caught.value)
    assert "PRIVATE" not in str(caught.value)


def test_client_certificates_need_an_authority(files):
    with pytest.raises(InvalidInput, match="--require-client-cert needs"):
        files.pair("server", require_client_cert=True).check()


def test_a_client_with_a_certificate_and_no_authority_never_speaks_plain_text(files):
    with pytest.raises(InvalidInput, match="--tls-ca"):
        PipelineClient("localhost:1", security=files.pair("client"))


def test_plain_text_that_others_can_reach_is_warned_of(files, caplog):
    for address, security, warnings in [
        (HOST, Security(), 0),
        ("0.0.0.0:0", files.pair("server"), 0),
        ("0.0.0.0:0", Security(), 1),
    ]:
        Server(POSTPROCESS, POSTPROCESS.load(), address, security).stop(0).wait(GUARD)
        assert caplog.text.count("is in plain text") == warnings


def test_other_faults_are_left_as_they_are():
    assert explain("Socket closed") == "Socket closed", "of a call under way: the server died"


# Tokens.


def bearing(value):
    return {"metadata": [("authorization", value)]}


def test_calls_need_one_of_the_tokens(tokens):
    with serving(tokens) as server:
        assert info(server.address, tokens).service == "postprocess"
        for header in ("Bearer first", "Bearer second", "bearer second"):
            assert info(server.address, **bearing(header)).service == "postprocess"
        missing = info(server.address)
        assert (missing.code, missing.field, missing.step) == (
            pb.CODE_UNAUTHENTICATED,
            "authorization",
            pb.STEP_POSTPROCESS,
        )
        assert "authorization is missing" in missing.message
        for header in ("Bearer third", "Bearer firs", "Bearer ", "first", "Basic first", "Bearer first second", ""):
            wrong = info(server.address, **bearing(header))
            assert wrong.code == pb.CODE_UNAUTHENTICATED
            assert not wrong.retryable
            assert not {"first", "third"} & set(wrong.message.split())


def test_tokens_change_without_a_restart(files, tokens, caplog):
    with serving(tokens) as server:
        client = Security(token_file=files.write("own", b"first"))
        assert info(server.address, client).service == "postprocess"
        files.write("tokens", b"third\n")
        assert info(server.address, client).code == pb.CODE_UNAUTHENTICATED
        files.write("own", b"third")
        assert info(server.address, client).service == "postprocess"
        files.write("tokens", b"")
        assert info(server.address, **bearing("Bearer ")).code == pb.CODE_UNAUTHENTICATED, "nobody"
        files.write("tokens", b"fourth\n")
        assert info(server.address, **bearing("Bearer fourth")).service == "postprocess"
        (files.folder / "tokens").unlink()
        assert info(server.address, **bearing("Bearer fourth")).service == "postprocess"
        assert "the tokens stay as they were" in caplog.text
        assert "fourth" not in caplog.text


def test_a_refused_message_is_not_read(tokens):
    """Who has no token sends the server nothing that it would keep."""
    with serving(tokens) as server, open_channel(server.address, security=Security()) as channel:
        call = channel.unary_unary("/tensorhop.v1.PostprocessService/Postprocess")
        with pytest.raises(grpc.RpcError) as caught:
            call(b"x" * 50_000_000, timeout=GUARD)
        assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED


def health(channel):
    return health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=GUARD).status


def services(channel):
    return set(ProtoReflectionDescriptorDatabase(channel).get_services())


def code(ask, channel):
    try:
        ask(channel)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


OK, NO, GONE = grpc.StatusCode.OK, grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    ("options", "of_health", "of_reflection"),
    [
        ({}, OK, NO),
        ({"open_health": False}, NO, NO),
        ({"open_reflection": True}, OK, OK),
        ({"reflection": False}, OK, GONE),
    ],
)
def test_what_is_open_to_everybody(files, tokens, options, of_health, of_reflection):
    with serving(Security(token_file=tokens.token_file, **options)) as server:
        with open_channel(server.address, security=Security()) as channel:
            assert (code(health, channel), code(services, channel)) == (of_health, of_reflection)
            assert code(lambda channel: channel.unary_unary("/no.Such/Method")(b""), channel) == GONE
        with open_channel(server.address, security=tokens) as channel:
            assert code(health, channel) == OK


def test_health_that_needs_a_token_does_not_shut_out_those_who_have_one(tokens):
    """gRPC itself asks for the health of replicas, and without a token."""
    security = Security(token_file=tokens.token_file, open_health=False)
    with serving(security) as server:
        remote = Remote(server.address, STEPS["postprocess"], security)
        assert remote.info(GUARD).service == "postprocess"
        remote.close()


# All together.


def test_the_pipeline_calls_its_services_as_the_client_calls_it(files, cat):
    files.write("shared", b"one\ntwo\n")
    both = {"tls_ca": files.path("ca"), "token_file": files.path("shared")}
    inside = files.pair("server", require_client_cert=True, **both)
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serving(inside))
        stages = Steps.connect(CUTOUTS, dict.fromkeys(STEPS, server.address), inside)
        stack.callback(stages.close)
        front = Server(PIPELINE, PipelineServicer(stages), HOST, inside)
        stack.callback(lambda: front.stop(0).wait(GUARD))
        mask = (cat[..., 0] > 100).astype("uint8") * 255  # so that postprocess alone is called
        client = stack.enter_context(PipelineClient(front.address, security=files.pair("client", **both)))
        *_, summary = client.process(cat, masks=[mask])
        assert isinstance(summary, Summary)
        assert (summary.objects, summary.faults) == (1, 0)
        stranger = files.pair("client", tls_ca=files.path("ca"))
        with PipelineClient(front.address, security=stranger) as client, pytest.raises(ServiceFault) as caught:
            list(client.process(cat, masks=[mask]))
        assert caught.value.fault.code == pb.CODE_UNAUTHENTICATED
        assert code_of(caught.value.fault) == UNREACHABLE


# HTTP in front.


@contextlib.contextmanager
def http_front(security):
    """Its address; no pipeline is behind it, and so a request that is let in is answered with 503."""
    front = HttpServer(HOST, "127.0.0.1:9", security=security)
    try:
        yield front.address
    finally:
        front.stop(0).wait(GUARD)


def post(address, context=None, **headers):
    """Status, headers and problem of a photo that is sent."""
    host, _, port = address.rpartition(":")
    connection: http.client.HTTPConnection
    if context:
        connection = http.client.HTTPSConnection(host, int(port), timeout=GUARD, context=context)
    else:
        connection = http.client.HTTPConnection(host, int(port), timeout=GUARD)
    with contextlib.closing(connection):
        connection.request("POST", "/process", b"x", {"Content-Type": "image/png", **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())


def test_http_wants_the_token_that_it_would_call_the_pipeline_with(tokens):
    with http_front(tokens) as address:
        for headers in ({}, {"Authorization": "Bearer third"}, {"Authorization": "first"}):
            status, answered, problem = post(address, **headers)
            assert (status, problem["code"], answered["WWW-Authenticate"]) == (401, "UNAUTHENTICATED", "Bearer")
        for token in ("first", "second"):
            assert post(address, Authorization=f"Bearer {token}")[0] != 401


def test_http_with_a_certificate_speaks_https_only_and_renews_it(files):
    files.issue("renewed", "127.0.0.1")
    security = files.pair("renewed", tls_ca=files.path("ca"))
    trusting = ssl.create_default_context(cafile=str(files.path("ca")))
    with http_front(security) as address:
        before = certificate_of(address, trusting)
        with pytest.raises((OSError, http.client.HTTPException)):
            post(address)
        files.issue("renewed", "127.0.0.1")
        assert certificate_of(address, trusting) != before
        assert post(address, trusting)[0] != 401


def test_http_refuses_clients_without_a_certificate_if_asked(files):
    security = files.pair("server", tls_ca=files.path("ca"), require_client_cert=True)
    context = ssl.create_default_context(cafile=str(files.path("ca")))
    with http_front(security) as address:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            post(address, context)
        mine = files.pair("client")
        context.load_cert_chain(mine.tls_cert, mine.tls_key)
        assert post(address, context)[0] != 401


def certificate_of(address, context):
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), timeout=GUARD) as plain,
        context.wrap_socket(plain, server_hostname=host) as connection,
    ):
        return connection.getpeercert(binary_form=True)


@pytest.mark.parametrize("name", ["server", "elsewhere", "wildcard", "address"])
@pytest.mark.parametrize("more", [{}, {"tls_ca": "ca"}, {"tls_ca": "ca", "require_client_cert": "true"}])
def test_the_healthcheck_asks_a_server_by_its_own_certificate(files, name, more, monkeypatch):
    """Whatever the certificate is for, whoever signed it, and whether --tls-ca is there."""
    files.issue("wildcard", "*.example.org")
    files.issue("address", "192.0.2.7")
    given = {"tls_cert": name, "tls_key": f"{name}.key"} | more
    for key, value in given.items():
        monkeypatch.setenv(f"TENSORHOP_{key.upper()}", files.path(value) if key != "require_client_cert" else value)
    use_settings(None)
    try:
        with serving(Security.of()) as server:
            assert failure(server.address) == ""
        assert failure(server.address) == f"nothing answers at {server.address}; start it with tensorhop up"
    finally:
        use_settings(None)


def test_the_healthcheck_does_not_take_a_certificate_that_is_not_the_servers(files, monkeypatch):
    for key, value in {"tls_cert": "elsewhere", "tls_key": "elsewhere.key"}.items():
        monkeypatch.setenv(f"TENSORHOP_{key.upper()}", files.path(value))
    use_settings(None)
    try:
        with serving(files.pair("server")) as server:
            assert "does not answer" in failure(server.address)
    finally:
        use_settings(None)
