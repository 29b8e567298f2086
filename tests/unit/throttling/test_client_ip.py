import pytest

from chatio.throttling.client_ip import (
    MAX_HOPS,
    MAX_REPORTED,
    client_address,
    parse_networks,
    rate_limit_key,
    wider_rate_limit_key,
)
from tests.conftest import ExpectedLogs

TRUSTED = parse_networks(["10.0.0.0/8", "192.0.2.1", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("10.1.1.1", "198.51.100.1", "198.51.100.1"),
        ("10.1.1.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # the client wrote the first one itself
        ("10.1.1.1", "198.51.100.1, 10.2.2.2, 192.0.2.1", "198.51.100.1"),
        ("10.1.1.1", "10.3.3.3, 10.2.2.2", "10.3.3.3"),  # trusted all the way
        ("10.1.1.1", "198.51.100.1, nonsense", "10.1.1.1"),
        ("10.1.1.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.1.1.1", '"[2001:db8::1]:4711"', "2001:db8::1"),
        ("10.1.1.1", "2001:db8::1%any text", "2001:db8::1"),
        ("fd00::5", "2001:db8::1", "2001:db8::1"),
        ("10.1.1.1", ", ".join(["198.51.100.1", *["10.2.2.2"] * (MAX_HOPS - 1)]), "198.51.100.1"),
        ("10.1.1.1", ", ".join(["198.51.100.1", *["10.2.2.2"] * MAX_HOPS]), "10.2.2.2"),
        ("::ffff:10.1.1.1", "198.51.100.1", "198.51.100.1"),
        ("10.1.1.1", "", "10.1.1.1"),
        ("10.1.1.1", " , ", "10.1.1.1"),
    ],
)
def test_client_address_is_rightmost_that_no_trusted_proxy_has(peer: str, forwarded: str, address: str) -> None:
    assert client_address(peer, forwarded, TRUSTED) == address


@pytest.mark.parametrize("named", [[], ["10.0.0.0/8"]])
@pytest.mark.parametrize("peer", ["127.0.0.1", "2001:db8::7", ""])
def test_the_header_of_a_peer_that_is_no_trusted_proxy_is_one_warning_and_does_not_count(
    named: list[str], peer: str, logs: ExpectedLogs
) -> None:
    logs.expect(
        f"^Requests from {peer or 'a Unix socket'} have X-Forwarded-For, and TRUSTED_PROXIES does not name"
    )
    trusted = parse_networks(named)
    for number in range(3):
        assert client_address(peer, f"198.51.100.{number}", trusted) == peer
    assert len(logs.records) == 1


def test_clients_that_send_the_header_themselves_cannot_fill_the_log(logs: ExpectedLogs) -> None:
    logs.expect("^Requests from 198.51.100.")
    trusted = parse_networks([])
    for number in range(100):
        client_address(f"198.51.100.{number}", "1.2.3.4", trusted)
    assert len(logs.records) == MAX_REPORTED


def test_parse_networks_of_a_host_name_raises() -> None:
    with pytest.raises(ValueError, match=r"proxy\.example"):
        parse_networks(["proxy.example"])


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_rate_limit_key_is_the_ipv4_address_or_the_ipv6_64(address: str, key: str) -> None:
    assert rate_limit_key(address) == key


@pytest.mark.parametrize(
    ("key", "wider"),
    [
        *(
            ("2001:db8:1:2::/64", "2001:db8:1::/48"),
            ("2001:db8:1::/64", "2001:db8:1::/48"),
            ("fe80::/64", "fe80::/48"),
        ),
        *(("203.0.113.9", None), ("", None)),
    ],
)
def test_wider_key_is_the_48_of_an_ipv6_64(key: str, wider: str | None) -> None:
    assert wider_rate_limit_key(key) == wider
