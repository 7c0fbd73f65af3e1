"""Addresses: what is one, what is free, and where to reach it."""

import socket

import pytest

from tensorhop.address import check_brackets, check_free, is_loopback, name_of, reachable, split, targets, with_port


@pytest.mark.parametrize(
    ("listen", "connect"),
    [
        ("0.0.0.0:50051", "localhost:50051"),
        ("[::]:50051", "localhost:50051"),
        ("127.0.0.1:5", "127.0.0.1:5"),
        ("unix:/run/s", "unix:/run/s"),
    ],
)
def test_every_interface_is_reached_on_localhost(listen, connect):
    assert reachable(listen) == connect


@pytest.mark.parametrize("address", ["", "host", "host:", ":1", "host:x", "host:-1", "host:65536"])
def test_a_malformed_address_is_refused(address):
    with pytest.raises(OSError, match="HOST:PORT"):
        check_free(address)


@pytest.mark.parametrize("host", ["::1", "::", "2001:db8::7", "fe80::1%lo"])
def test_an_ipv6_address_needs_brackets(host):
    assert split(f"[{host}]:8080") == (f"[{host}]", 8080)
    assert with_port(host, 8080) == with_port(f"[{host}]", 8080) == f"[{host}]:8080"
    for address, example in ((f"{host}:8080", f"[{host}]:8080"), (host, f"[{host}]:PORT")):
        for check in (split, check_brackets, check_free):
            with pytest.raises(OSError, match="without brackets") as caught:
                check(address)
            assert str(caught.value).endswith(f"write {example}")


@pytest.mark.parametrize("address", ["a:b:1", "[::1", "[a]:1", "127.0.0.1:2:3", "[127.0.0.1:1", "::"])
def test_brackets_are_not_for_everything(address):
    with pytest.raises(OSError, match=r"is not an address|without brackets"):
        split(address)


@pytest.mark.parametrize(
    "address", ["unix:/run/s", "dns:///segment:1", "ipv6:[::1]:1,[::2]:1", "ipv4:10.0.0.1:1", "xds:///a"]
)
def test_other_names_of_grpc_pass(address):
    check_brackets(address)


def test_a_name_has_a_target_for_each_of_its_servers(monkeypatch):
    found = [(socket.AF_INET, 1, 6, "", ("10.0.0.1", 5)), (socket.AF_INET6, 1, 6, "", ("fd00::1", 5, 0, 0))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *about, **more: found * 2)
    for name in ("segment:5", "dns:///segment:5", "dns:segment:5"):
        assert name_of(name) == ("segment", 5)
        assert targets(name) == ["ipv4:10.0.0.1:5", "ipv6:[fd00::1]:5"]
    for one in ("10.0.0.1:5", "[::1]:5", "localhost:5", "unix:/s", "xds:///segment:5", "dns://8.8.8.8/segment:5"):
        assert targets(one) == [one]
    assert targets("ipv4:10.0.0.1:5,10.0.0.2:6") == ["ipv4:10.0.0.1:5", "ipv4:10.0.0.2:6"]


@pytest.mark.parametrize("name", ["127.0.0.1", "::1"])
def test_localhost_is_free_only_if_both_its_addresses_are(name):
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    with socket.create_server((name, 0), family=family) as other, pytest.raises(OSError, match="in use"):
        check_free(f"localhost:{other.getsockname()[1]}")


@pytest.mark.parametrize(
    "address",
    ["localhost:1", "127.8.9.1:1", "[::1]:1", "unix:s", "dns:///localhost:1", "ipv4:127.0.0.1:1,127.0.0.2:1"],
)
def test_loopback(address):
    assert is_loopback(address)


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.1:1",
        "0.0.0.0:1",
        "example.com:1",
        "dns:///segment:1",
        "127.example.com:1",
        "ipv4:127.0.0.1:1,10.0.0.1:1",
    ],
)
def test_not_loopback(address):
    assert not is_loopback(address)


def test_a_file_is_not_replaced_by_a_socket(tmp_path):
    file = tmp_path / "photo.jpg"
    file.write_text("a photo")
    with pytest.raises(OSError, match="is a file and no socket"):
        check_free(f"unix:{file}")
    assert file.read_text() == "a photo"


def test_the_socket_of_a_server_that_was_killed_is_free(tmp_path):
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / "s"))
    check_free(f"unix:{tmp_path}/s")
