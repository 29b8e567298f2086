import pytest

from chatio.throttling.client_ip import client_address, parse_networks, rate_limit_key, wider_rate_limit_key

TRUSTED = parse_networks(["10.0.0.0/8", "192.0.2.1", "fd00::/8"])


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # the peer is no proxy of ours
        ("10.1.1.1", "198.51.100.1", "198.51.100.1"),
        ("10.1.1.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # the client wrote the first one itself
        ("10.1.1.1", "198.51.100.1, 10.2.2.2, 192.0.2.1", "198.51.100.1"),
        ("10.1.1.1", "10.3.3.3, 10.2.2.2", "10.3.3.3"),  # trusted all the way
        ("10.1.1.1", "198.51.100.1, nonsense", "10.1.1.1"),
        ("10.1.1.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.1.1.1", '"[2001:db8::1]:4711"', "2001:db8::1"),
        ("fd00::5", "2001:db8::1", "2001:db8::1"),
        ("::ffff:10.1.1.1", "198.51.100.1", "198.51.100.1"),
        ("10.1.1.1", "", "10.1.1.1"),
        ("10.1.1.1", " , ", "10.1.1.1"),
        ("", "198.51.100.1", ""),
    ],
)
def test_client_address_is_rightmost_that_no_trusted_proxy_has(peer: str, forwarded: str, address: str) -> None:
    assert client_address(peer, forwarded, TRUSTED) == address


def test_client_address_without_trusted_proxies_is_the_peers() -> None:
    assert client_address("127.0.0.1", "198.51.100.1", parse_networks([])) == "127.0.0.1"


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
