"""Streamlit's shell names the scripts that all pages need, and files that were read once come from memory."""

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from dashboard.live import shell
from dashboard.live.library import LIBRARY_URL
from dashboard.live.routes import routes
from dashboard.live.shell import LIBRARY, SCRIPTS, SHOWN, STATIC, STYLE, Shell, links, scripts

SCRIPT = '<script type="module" crossorigin src="./static/js/index.js"></script>'
PAGE = f"<html><head><title>t</title>{SCRIPT}</head><body></body></html>"
LINKED = PAGE.replace("</head>", f"{links()}{LIBRARY}</head>").replace("</body>", f"{STYLE}</body>")


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def client(asked) -> TestClient:
    """A server whose answers are counted, inside the shell."""

    def file(request: Request) -> Response:
        asked.append(request.url.path)
        if request.url.path.endswith("gone.js"):
            return PlainTextResponse("no such file", 404)
        return PlainTextResponse("x" * 1_000, headers={"cache-control": "immutable"})

    def page(request: Request) -> Response:
        return HTMLResponse(PAGE, headers={"etag": "of the file", "x-kept": "yes"})

    def text(request: Request) -> Response:
        return PlainTextResponse(PAGE)

    routes = [Route("/static/{name:path}", file), Route("/text", text), Route("/{page}", page)]
    return TestClient(Shell(Starlette(routes=routes)))


def test_the_scripts_of_all_that_pages_show_exist_and_are_named_once():
    index = (STATIC / "index.html").read_text("utf-8")
    for name in SHOWN:
        assert any(script.startswith(f"{name}.") for script in scripts()), name
    assert len(set(scripts())) == len(scripts())
    assert all((SCRIPTS / name).is_file() and name not in index for name in scripts())


def test_the_chart_library_is_asked_for_where_charts_look_for_it():
    assert f'<script async src=".{LIBRARY_URL}"' in LIBRARY
    assert TestClient(Starlette(routes=routes())).get(LIBRARY_URL).status_code == 200


def test_a_page_names_them_in_its_head(client):
    answer = client.get("/pair")
    assert answer.text == LINKED
    assert int(answer.headers["content-length"]) == len(answer.content)
    assert "etag" not in answer.headers and answer.headers["x-kept"] == "yes"


def test_so_does_a_packed_page():
    routes = [Route("/pair", lambda request: HTMLResponse(PAGE + 1_000 * " ", headers={"etag": "of the file"}))]
    client = TestClient(Shell(Starlette(routes=routes, middleware=[Middleware(GZipMiddleware)])))
    answer = client.get("/pair", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip" and "etag" not in answer.headers
    assert answer.text == LINKED + 1_000 * " "
    assert int(answer.headers["content-length"]) < len(answer.content)


def test_a_page_that_is_packed_otherwise_is_as_it_was():
    routes = [Route("/pair", lambda request: HTMLResponse(PAGE, headers={"content-encoding": "identity"}))]
    assert TestClient(Shell(Starlette(routes=routes))).get("/pair").text == PAGE


def test_the_styles_of_all_that_pages_show_come_with_them():
    for name in (".stApp{--ps-ground:light-dark(", ".ps-card {", ".ps-live {", ".ps-frame {"):
        assert name in STYLE
    assert STYLE.count("</style>") == 1


def test_what_is_no_page_is_as_it_was(client):
    assert client.get("/text").text == PAGE


def test_a_page_that_is_not_of_streamlit_is_as_it_was():
    page = PAGE.replace(SCRIPT, "<script src='x.js'></script>")
    routes = [Route("/api/docs", lambda request: HTMLResponse(page))]
    assert TestClient(Shell(Starlette(routes=routes))).get("/api/docs").text == page


def test_a_file_is_read_once(client, asked):
    first, second = (client.get("/static/js/one.js") for _ in range(2))
    assert first.text == second.text == "x" * 1_000 and second.headers["cache-control"] == "immutable"
    assert asked == ["/static/js/one.js"]


@pytest.mark.parametrize("headers", [{"range": "bytes=0-1"}, {"if-none-match": "a"}, {"if-modified-since": "now"}])
def test_a_part_or_a_comparison_is_asked_anew(client, asked, headers):
    client.get("/static/a.js")
    client.get("/static/a.js", headers=headers)
    assert len(asked) == 2


def test_what_does_not_exist_or_changes_something_is_not_kept(client, asked):
    assert [client.get("/static/gone.js").status_code for _ in range(2)] == [404, 404]
    client.head("/static/a.js")
    client.get("/static/a.js")
    assert len(asked) == 4


def test_memory_has_a_limit(client, asked, monkeypatch):
    monkeypatch.setattr(shell, "MOST_BYTES", 2_500)
    for number in (1, 2, 3, 1, 2, 3):
        assert client.get(f"/static/{number}.js").text == "x" * 1_000
    assert asked == [f"/static/{number}.js" for number in (1, 2, 3, 3)]
