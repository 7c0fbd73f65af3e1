"""Addresses: what is one, what is free, and where to reach it."""

import socket

import pytest

from tensorhop.address import check_free, is_loopback, reachable


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


@pytest.mark.parametrize("name", ["127.0.0.1", "::1"])
def test_localhost_is_free_only_if_both_its_addresses_are(name):
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    with socket.create_server((name, 0), family=family) as other, pytest.raises(OSError, match="in use"):
        check_free(f"localhost:{other.getsockname()[1]}")


@pytest.mark.parametrize("address", ["localhost:1", "127.8.9.1:1", "[::1]:1", "unix:s"])
def test_loopback(address):
    assert is_loopback(address)


@pytest.mark.parametrize("address", ["10.0.0.1:1", "0.0.0.0:1", "example.com:1", "dns:///segment:1"])
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
