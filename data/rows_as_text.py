"""Rows of a table as JSON lines and as sheets of Excel, put together column by column: no row passes through Python.

Numbers are the shortest text that gives the same number back, to the last bit; what does not exist is null, or an
empty cell.
"""

import json
import zipfile
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

SHEET_ROWS = 1_048_576  # that Excel takes, the names among them; more rows go on in another sheet
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
TYPES = "application/vnd.openxmlformats-officedocument.spreadsheetml"
HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
ILLEGAL = "[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"  # in XML


def _is_text(kind: pa.DataType) -> bool:
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _texts(column: pa.Array) -> pa.Array:
    """Values as text; null where there is no value, or no finite number."""
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_finite(column), column, pa.scalar(None, column.type))
    return column.cast(pa.string())


def _joined(parts: Iterable[pa.Array | str]) -> pa.Array:
    texts = [pa.scalar(part) if isinstance(part, str) else part for part in parts]
    return pc.binary_join_element_wise(*texts, pa.scalar(""))


def _bytes(rows: pa.Array) -> bytes:
    """All texts of a column one after the other."""
    if not len(rows):
        return b""
    return pc.binary_join(pa.ListArray.from_arrays([0, len(rows)], rows), "")[0].as_py().encode()


# --- JSON lines -------------------------------------------------------------------------------------


def json_lines(part: pa.RecordBatch) -> bytes:
    """Rows as JSON, an object a line."""
    pieces: list[pa.Array | str] = []
    for place, (name, column) in enumerate(zip(part.schema.names, part.columns, strict=True)):
        pieces += [("{" if place == 0 else ",") + json.dumps(name) + ":", _json_values(column)]
    return _bytes(_joined([*pieces, "}\n"]))


def _json_values(column: pa.Array) -> pa.Array:
    if _is_text(column.type):
        return pa.array([json.dumps(value, ensure_ascii=False) for value in column.to_pylist()], pa.string())
    return pc.fill_null(_texts(column), "null")


# --- Excel ------------------------------------------------------------------------------------------


def excel(
    schema: pa.Schema, parts: Iterable[pa.RecordBatch], sink: object, taken: Callable[[], bytes]
) -> Iterator[bytes]:
    """A workbook, handed on as it grows: numbers as numbers, texts as texts, which no spreadsheet runs."""
    sheets = 0
    rest: list[pa.RecordBatch] = []
    source = iter(parts)
    names = pa.record_batch([pa.array([name]) for name in schema.names], names=[str(i) for i in range(len(schema))])
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as book:  # type: ignore[call-overload]
        while sheets == 0 or rest:
            sheets += 1
            left = SHEET_ROWS - 1
            with book.open(f"xl/worksheets/sheet{sheets}.xml", "w", force_zip64=True) as sheet:
                sheet.write(f'{HEAD}<worksheet xmlns="{MAIN}"><sheetData>'.encode() + _rows(names))
                while left and (part := rest.pop() if rest else next(source, None)) is not None:
                    if len(part) > left:
                        rest.append(part.slice(left))
                        part = part.slice(0, left)
                    left -= len(part)
                    sheet.write(_rows(part))
                    yield taken()
                if not left and not rest and (more := next(source, None)) is not None:
                    rest.append(more)
                sheet.write(b"</sheetData></worksheet>")
        for name, text in _frame(sheets).items():
            book.writestr(name, HEAD + text)
    yield taken()


def _rows(part: pa.RecordBatch) -> bytes:
    return _bytes(_joined(["<row>", *(_cells(column) for column in part.columns), "</row>"]))


def _cells(column: pa.Array) -> pa.Array:
    if _is_text(column.type):
        text = pc.replace_substring_regex(column.cast(pa.string()), ILLEGAL, "\ufffd")
        for mark, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;")):
            text = pc.replace_substring(text, mark, name)
        cells = _joined(['<c t="inlineStr"><is><t xml:space="preserve">', text, "</t></is></c>"])
    elif pa.types.is_boolean(column.type):
        cells = _joined(['<c t="b"><v>', column.cast(pa.int8()).cast(pa.string()), "</v></c>"])
    else:
        cells = _joined(["<c><v>", _texts(column), "</v></c>"])
    return pc.fill_null(cells, "<c/>")


def _frame(sheets: int) -> dict[str, str]:
    """The files of a workbook beside its sheets."""
    numbers = range(1, sheets + 1)
    overrides = "".join(
        f'<Override PartName="/xl/worksheets/sheet{i}.xml" ContentType="{TYPES}.worksheet+xml"/>' for i in numbers
    )
    listed = "".join(f'<sheet name="Sheet{i}" sheetId="{i}" r:id="rId{i}"/>' for i in numbers)
    related = "".join(
        f'<Relationship Id="rId{i}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{i}.xml"/>' for i in numbers
    )
    return {
        "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{TYPES}.sheet.main+xml"/>{overrides}</Types>',
        "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" '
        f'Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{listed}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">{related}</Relationships>',
    }
