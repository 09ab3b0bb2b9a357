"""URLs that must lead nowhere: spellings of forbidden addresses, and texts that parsers read in different ways."""

from __future__ import annotations

import ipaddress
import random
from collections.abc import Iterator

FORBIDDEN = (
    "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "169.254.170.2",
    "100.100.100.200", "168.63.129.16", "192.0.0.192", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
)  # fmt: skip
"""Loopback, private, link-local, the metadata services of several clouds, multicast, reserved."""

FORBIDDEN_V6 = (
    "::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "fec0::1", "ff02::1", "100::1", "2001:db8::1", "64:ff9b:1::1",
)  # fmt: skip


def spellings(address: str) -> Iterator[str]:
    """The address as hosts of URLs that some parser or resolver takes for it."""
    number = int(ipaddress.IPv4Address(address))
    parts = [int(part) for part in address.split(".")]
    low, high = f"{number & 0xFFFF:x}", f"{number >> 16:x}"
    yield address
    yield f"{address}."
    yield str(number)
    yield hex(number)
    yield oct(number).replace("0o", "0")
    yield ".".join(hex(part) for part in parts)
    yield ".".join(f"0{part:o}" for part in parts)
    yield ".".join(f"{part:03d}" for part in parts)
    yield f"{parts[0]}.{number & 0xFFFFFF}"
    yield f"{parts[0]}.{parts[1]}.{number & 0xFFFF}"
    yield f"0x{parts[0]:x}.{number & 0xFFFFFF}"
    yield ".".join(str(part + 256) for part in parts)
    yield address.translate({ord(c): 0xFF10 + int(c) for c in "0123456789"})
    yield address.replace(".", "\u3002")
    yield address.replace("1", "\u2460")
    yield address.replace(".", "%2e")
    yield "".join(f"%{ord(c):02x}" for c in address)
    yield f"[::ffff:{address}]"
    yield f"[::ffff:{high}:{low}]"
    yield f"[::{high}:{low}]"
    yield f"[64:ff9b::{high}:{low}]"
    yield f"[64:ff9b::{address}]"
    yield f"[2002:{high}:{low}::]"
    yield f"[2001:0:{high}:{low}::1]"
    yield f"[2001:0:1:2:3:4:{number >> 16 ^ 0xFFFF:x}:{number & 0xFFFF ^ 0xFFFF:x}]"
    yield f"[fe80::5efe:{address}]"
    yield f"[::ffff:0:{address}]"


TRICKS = (
    "https://{0}\\@allowed.test/", "https://allowed.test\\@{0}/", "https://allowed.test@{0}/",
    "https://{0}@allowed.test/", "https://allowed.test:443@{0}/", "https://allowed.test#@{0}/",
    "https://allowed.test?@{0}/", "https://{0}#allowed.test", "https://{0}?allowed.test",
    "https://allowed.test%00.{0}/", "https://allowed.test\x00{0}/", "https:{0}/", "https:/{0}/", "https:///{0}/",
    "https:\\\\{0}\\", "//{0}/", "\thttps://{0}/", " https://{0}/", "https://\t{0}/", "https://{0}\n/",
    "ht\ntps://{0}/", "https://allowed.test\r\nHost: {0}/", "https://allowed.test /{0}", "ftp://{0}/",
    "file://{0}/etc/passwd", "gopher://{0}:6379/_x", "dict://{0}:11211/", "ldap://{0}/", "jar:https://{0}!/",
    "data:text/plain,{0}", "javascript:{0}", "unix:///{0}.sock", "http+unix://{0}", "https://{0}:", "https://{0}:0/",
    "https://{0}:65536/", "https://{0}:-1/", "https://{0}:4 43/", "https://{0}:\uff14\uff14\uff13/", "https://[{0}]/",
    "https://[{0}/", "https://{0}]/", "https://allowed.test.{0}.nip.test/", "https://xn--{0}/", "https://{0}/..;/",
    "https://{0}/%2e%2e/x", "https://{0}/a/../b", "https://{0}/a\u2028b", "https://{0}\u200b/", "https://{0}\u00ad/",
    "https://\u202e{0}/", "HTTPS://{0}/?x=1", "https://user:key@{0}/", "https://a..{0}/", "https://-{0}/",
    "https://_{0}/", "https://*.{0}/", "https://{0},allowed.test/", "https://{0};allowed.test/",
    "https://xn--{0}.test/", "https://a.xn--0.{0}/", "https://allowed.test;@{0}/", "https://{0}%2f@allowed.test/",
    "https://allowed.test%2f@{0}/", "https://{0}%23@allowed.test/",
)  # fmt: skip

CORPUS = (
    *(f"https://{host}/v1/rerank" for address in FORBIDDEN for host in spellings(address)),
    *(f"https://[{address}]/v1/rerank" for address in FORBIDDEN_V6),
    *(f"https://[{address}%{zone}]/" for address in FORBIDDEN_V6 for zone in ("eth0", "25eth0", "1")),
    *(trick.format(address) for trick in TRICKS for address in ("169.254.169.254", "evil.test")),
    *(f"http://{host}/" for host in ("allowed.test", "8.8.8.8", "api.example.com", "127.0.0.1", "localhost")),
    "https", "https:", "https://", "https://.", "https://..", "https:// ", "https://[]/", "https://[:]/",
    "https://[::g]/",
    "https://\uff41llowed.test/", "https://allowed\u3002test/", "https://\u0430llowed.test/",
    "https://allowed.te\u017ft/", "https://\u212aallowed.test/",
    "https://" + "a" * 64 + ".test/", "https://" + "a." * 127 + "test/", "https://allowed.test/" + "a" * 4096,
)  # fmt: skip

_SCHEMES = (
    "https://", "https://", "https://", "https://", "http://", "HTTPS://", "https:\\\\", "https:/", "//", "", "ftp://",
    "h\u212a://",
)  # fmt: skip
_BEFORE = (
    "", "", "", "", "", "user@", "user:pass@", "allowed.test@", "allowed.test\\@", "%40", "allowed.test:443@", "\t",
    " ",
)  # fmt: skip
_NAMES = (
    "allowed.test", "allowed.test.", "allowed.test.evil.test", "notallowed.test", "evil.test", "localhost",
    "metadata.evil.test", "a.b.c.evil.test", "ALLOWED.TEST", "allowed.tes", "allowed.test\u3002evil.test",
    "xn--llowed-2na.test", "evil\u2024test",
)  # fmt: skip
_PORTS = ("", "", "", "", ":443", ":8443", ":80", ":22", ":0", ":65535", ":65536", ":", ":x", ":443:80")
_AFTER = (
    "", "", "/", "/v1", "/v1/rerank", "?q=1", "#f", "\\", "\\@evil.test", "@evil.test", "/@evil.test", "//evil.test",
    "/%2e%2e", "/../x", "%00", "\r\nHost: evil.test", "\n", " ", "\u2028", "/v1/rerank?url=http://127.0.0.1/", ";x",
    "/" + "a" * 50,
)  # fmt: skip
_NOISE = (
    "".join(map(chr, range(0x20, 0x7F))) + "\t\r\n\0\x7f\u00ad\u200b\u2024\u3002\uff0e\uff0f\uff20\u2460\u212a\u017f"
)


def generated(count: int, seed: int) -> Iterator[str]:
    """That many URLs put together from parts, every fourth of them with a character changed; the same for a seed."""
    chance = random.Random(seed)
    hosts = [host for address in FORBIDDEN for host in spellings(address)]
    hosts += [f"[{address}]" for address in FORBIDDEN_V6]
    for number in range(count):
        host = chance.choice(hosts) if chance.random() < 0.6 else chance.choice(_NAMES)
        url = "".join((*map(chance.choice, (_SCHEMES, _BEFORE)), host, *map(chance.choice, (_PORTS, _AFTER))))
        if number % 4 == 0:
            at = chance.randrange(len(url) + 1)
            url = url[:at] + chance.choice(_NOISE) + url[at + chance.randrange(2) :]
        yield url
