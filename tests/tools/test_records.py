"""`offramp records`: what drivers and their writers are told is what the hardware is made of."""

import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from offramp_sim import cli
from offramp_sim.compare import CHECKSUM_FLAGS
from offramp_sim.core import ports, source
from offramp_sim.core.arrivals import decode_metadata
from offramp_sim.core.records import decode_completion, encode_request
from offramp_sim.document.header import header
from offramp_sim.document.layout import split_rules
from offramp_sim.document.markdown import markdown
from offramp_sim.model import Reason, Request, Status

DOCUMENT = Path(__file__).parents[2] / "docs/records.md"

DRIVER = """
#include <stdio.h>
#include "offramp_records.h"

#define FIELD(words, name, value) ((words)[name##_WORD] |= OFFRAMP_PUT(name, value))

int main(void)
{
  uint32_t request[OFFRAMP_REQUEST_WORDS] = {0};
  const uint32_t completion[OFFRAMP_COMPLETION_WORDS] = {0xee12abcdu, 45u, 65536u, 0x40000000u};
  const uint32_t metadata[OFFRAMP_METADATA_WORDS] = {0x0cu, 0x01020304u, 0x200u, 0x0ee605eau, 0x0d0b1189u};
  unsigned word;

  FIELD(request, OFFRAMP_REQUEST_TAG, 0x1234);
  FIELD(request, OFFRAMP_REQUEST_BUFFERS, 2);
  FIELD(request, OFFRAMP_REQUEST_LENGTH, 66000);
  FIELD(request, OFFRAMP_REQUEST_SUPPLEMENTAL,
        OFFRAMP_PUT(OFFRAMP_SUPPLEMENTAL_IS_ENCAPSULATED, 1) |
        OFFRAMP_PUT(OFFRAMP_SUPPLEMENTAL_OFFSETS_VALID, 1) |
        OFFRAMP_PUT(OFFRAMP_SUPPLEMENTAL_INNER_FRAME_OFFSET, 42) |
        OFFRAMP_PUT(OFFRAMP_SUPPLEMENTAL_IP_RELATIVE_OFFSET, 14) |
        OFFRAMP_PUT(OFFRAMP_SUPPLEMENTAL_TCP_RELATIVE_OFFSET, 20) |
        OFFRAMP_PUT(OFFRAMP_SUPPLEMENTAL_TCP_OPTIONS_PRESENT, 1));
  FIELD(request, OFFRAMP_REQUEST_CHECKSUM,
        OFFRAMP_PUT(OFFRAMP_CHECKSUM_IS_IPV4, 1) | OFFRAMP_PUT(OFFRAMP_CHECKSUM_TCP, 1) |
        OFFRAMP_PUT(OFFRAMP_CHECKSUM_TCP_HEADER_OFFSET, 96));
  FIELD(request, OFFRAMP_REQUEST_LSO,
        OFFRAMP_PUT(OFFRAMP_SEGMENT_MSS, 1460) | OFFRAMP_PUT(OFFRAMP_SEGMENT_IS_V2, 1) |
        OFFRAMP_PUT(OFFRAMP_SEGMENT_HEADER_OFFSET, 96));
  FIELD(request, OFFRAMP_REQUEST_VLAN,
        OFFRAMP_PUT(OFFRAMP_TAG_PRIORITY, 5) | OFFRAMP_PUT(OFFRAMP_TAG_VLAN, 0xabc));
  for (word = 0; word < OFFRAMP_REQUEST_WORDS; word++)
    printf("%08lx ", (unsigned long)request[word]);

#define GET(name) (unsigned long)OFFRAMP_GET(completion[name##_WORD], name)
  printf("%lx %d %lu %lu %lx\\n", GET(OFFRAMP_COMPLETION_TAG),
         GET(OFFRAMP_COMPLETION_STATUS) == OFFRAMP_STATUS_MSS_ZERO, GET(OFFRAMP_COMPLETION_SEGMENTS),
         GET(OFFRAMP_COMPLETION_PAYLOAD_BYTES), GET(OFFRAMP_COMPLETION_LSO_COMPLETION));

#define OF(name) (unsigned long)OFFRAMP_GET(metadata[name##_WORD], name)
#define IN(name, field) (int)OFFRAMP_GET(OF(name), field)
  printf("%d %d %lx %lx %lu ", IN(OFFRAMP_METADATA_CHECKSUM, OFFRAMP_RECEIVE_CHECKSUM_TCP_SUCCEEDED),
         IN(OFFRAMP_METADATA_CHECKSUM, OFFRAMP_RECEIVE_CHECKSUM_IP_FAILED), OF(OFFRAMP_METADATA_HASH_VALUE),
         OF(OFFRAMP_METADATA_HASH_TYPE), OF(OFFRAMP_METADATA_LENGTH));
  printf("%d %d %d ", IN(OFFRAMP_METADATA_LAYERS, OFFRAMP_LAYERS_OUTER) == OFFRAMP_IP_VERSION_IPV6,
         IN(OFFRAMP_METADATA_LAYERS, OFFRAMP_LAYERS_TUNNEL) == OFFRAMP_TUNNEL_TYPE_VXLAN,
         IN(OFFRAMP_METADATA_VERDICTS, OFFRAMP_VERDICTS_TUNNEL) == OFFRAMP_VERDICT_BAD);
  printf("%lu %lu %d\\n", OF(OFFRAMP_METADATA_PROTOCOL), OF(OFFRAMP_METADATA_QUEUE),
         OF(OFFRAMP_METADATA_REASON) == OFFRAMP_REASON_TUNNEL_CHECKSUM);
  return 0;
}
"""


def run(*arguments):
    with pytest.raises(SystemExit) as exited:
        cli.main(["records", *map(str, arguments)])
    return exited.value.code


def test_the_document_is_up_to_date():
    assert DOCUMENT.read_text() == markdown(), "run: offramp records --markdown -o docs/records.md"


def test_the_document_is_what_is_printed_and_the_header_what_is_asked_for(capsys, tmp_path):
    assert run() == 0
    assert capsys.readouterr().out == markdown()
    assert run("--c", "-o", tmp_path / "records.h") == 0
    assert (tmp_path / "records.h").read_text() == header()


def documented(block):
    """Return the ports of ``block`` that the document names, and the beginnings of names."""
    section = re.search(rf"^## Ports of `offramp_{block}`$(.*?)^## ", markdown(), re.MULTILINE | re.DOTALL)[1]
    names = set(re.findall(r"`((?:[sm]_axis|cfg|stat)_\w+)", section))
    groups = {name for name in names if name.endswith("_")}
    return names - groups, groups


@pytest.mark.parametrize("block", ["send", "receive"])
def test_every_port_is_documented(block):
    names, groups = documented(block)
    found = {port.name for port in ports.read(source.verilog(8, block), f"offramp_{block}").all}
    assert names <= found
    missing = found - names - {"clk", "rst"}
    assert {name for name in missing if not name.startswith(tuple(groups - {"stat_", "cfg_"}))} == set()


def test_every_status_reason_and_queue_has_a_counter():
    sent, received = (
        {port.name for port in ports.read(source.verilog(8, block), f"offramp_{block}").counters}
        for block in ("send", "receive")
    )
    assert {f"stat_refused_{status.name.lower()}" for status in Status if status} <= sent
    reasons = ["checked", *(reason.name.lower() for reason in Reason)]
    assert {f"stat_reason_{name}" for name in reasons} <= received
    assert {f"stat_queue_{number}" for number in range(16)} <= received
    assert {f"stat_{flag}" for flag in CHECKSUM_FLAGS} <= received


def test_both_paths_in_one_have_the_ports_that_are_promised():
    sent, received, both = (
        {port.name: port.width for port in ports.read(source.verilog(8, block), f"offramp_{block}").all}
        for block in ("send", "receive", "nic")
    )
    renamed = {name.replace("stat_", "stat_send_"): width for name, width in sent.items()} | {
        name.replace("stat_", "stat_receive_").replace("axis_frame", "axis_received"): width
        for name, width in received.items()
    }
    assert both == renamed


@pytest.mark.parametrize(
    ("text", "what", "rules"),
    [
        ("Why not. Or why (INV-2, OOB-16).", "Why not. Or why.", "INV-2, OOB-16"),
        ("Nothing (at all).", "Nothing (at all).", ""),
        ("It is so (X6-4).", "It is so.", "X6-4"),
    ],
)
def test_rules_are_told_from_text(text, what, rules):
    assert split_rules(text) == (what, rules)


@pytest.mark.parametrize("codes", [Status, Reason], ids=lambda codes: codes.__name__)
def test_codes_have_the_numbers_that_the_model_knows(codes):
    found = re.findall(rf"^  OFFRAMP_{codes.__name__.upper()}_(\w+) = (\d+),$", header(), re.MULTILINE)
    numbers = {name: int(number) for name, number in found if name != "CHECKED"}
    assert numbers == {code.name: int(code) for code in codes}


@pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is missing")
def test_a_driver_can_work_with_the_header(tmp_path):
    """C makes of the macros what the tools, which pack records by themselves, make of the same values."""
    (tmp_path / "offramp_records.h").write_text(header())
    (tmp_path / "driver.c").write_text(DRIVER)
    strict = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Werror", "-pedantic")
    subprocess.run(["gcc", *strict, "-o", "driver", "driver.c"], cwd=tmp_path, check=True)
    said = subprocess.run([tmp_path / "driver"], capture_output=True, text=True, check=True).stdout.split()

    request = Request(
        frame=bytes(66000),
        buffers=(42, 65958),
        tag=0x1234,
        supplemental=1 | 1 << 1 | 42 << 2 | 14 << 10 | 20 << 16 | 1 << 27,
        checksum=1 | 1 << 2 | 96 << 16,
        lso=1460 | 96 << 20 | 1 << 30,
        vlan=5 | 0xABC << 4,
    )
    assert struct.pack("<7I", *(int(word, 16) for word in said[:7])) == encode_request(request)
    assert said[7:12] == ["abcd", "1", "45", "65536", "40000000"]
    completion = decode_completion(struct.pack("<4I", 0xEE12ABCD, 45, 65536, 0x40000000))
    assert (completion.tag, completion.status, completion.segments) == (0xABCD, "mss_zero", 45)

    assert said[12:] == ["1", "1", "1020304", "200", "1514", "1", "1", "1", "17", "11", "1"]
    reception = decode_metadata(struct.pack("<5I", 0x0C, 0x01020304, 0x200, 0x0EE605EA, 0x0D0B1189))
    assert (reception.checksum, reception.hash_value, reception.hash_type) == (0x0C, 0x01020304, 0x200)
    assert (reception.length, reception.outer, reception.tunnel) == (1514, "ipv6", "vxlan")
    assert (reception.verdicts.tunnel, reception.protocol, reception.queue) == ("bad", 17, 11)
    assert reception.reason == "tunnel_checksum"
