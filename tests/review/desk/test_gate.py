from __future__ import annotations

import json
from http.cookiejar import CookieJar
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from ubereport.language.languages import find_language
from ubereport.language.speaking import speaking
from ubereport.language.translator import translator
from ubereport.review.desk.gate import MAX_BODY_BYTES, SECURITY_HEADERS, Gate
from ubereport.review.desk.web import review_app
from ubereport.review.strokes import Action

PORT = 8765
HOST = f"127.0.0.1:{PORT}"


@pytest.fixture
def stranger(shelf_of, case_folder):
    gate = Gate(PORT)
    app = review_app(shelf_of(case_folder), gate, lambda _: None)
    with TestClient(app, base_url=f"http://{HOST}", raise_server_exceptions=False) as client:
        client.gate = gate
        yield client


def test_without_the_token_nothing_is_shown(stranger):
    for path in ("/", "/?token=guess", "/api/library", "/page/main.js", "/api/cases/0/facts"):
        answer = stranger.get(path)
        assert answer.status_code == 403
        assert "C001" not in answer.text


def test_the_token_becomes_a_cookie_and_leaves_the_address(stranger):
    answer = stranger.get("/", params={"token": stranger.gate.token}, follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert stranger.gate.token not in cookie
    assert stranger.get("/api/library").status_code == 200


def test_two_reviews_at_once_share_a_browser(shelf_of, case_folder):
    jar = CookieJar()  # as a browser's: cookies of a host go to all its ports
    clients = []
    for port in (PORT, PORT + 1):
        gate = Gate(port)
        app = review_app(shelf_of(case_folder), gate, lambda _: None)
        client = TestClient(app, base_url=f"http://127.0.0.1:{port}", cookies=jar)
        assert client.get("/", params={"token": gate.token}).status_code == 200
        clients.append(client)
    assert [client.get("/api/library").status_code for client in clients] == [200, 200]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example:8765"}, 421),  # a name that was made to point at this machine
        ({"Host": "127.0.0.1:9999"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": f"https://{HOST}"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Cookie": f"{Gate(PORT).cookie}=guess"}, 403),
    ],
)
def test_forged_headers_are_refused_even_with_the_cookie(visit, case_folder, headers, status):
    client = visit(case_folder)
    if "Cookie" in headers:
        client.cookies.clear()
    before = sorted(path.name for path in case_folder.rglob("*"))
    stroke = {"action": "finish", "reviewer": "KT"}
    for answer in (
        client.get("/api/cases/0/facts", headers=headers),
        client.post("/api/cases/0/strokes", json=stroke, headers=headers),
    ):
        assert answer.status_code == status
        assert "C001" not in answer.text
    assert sorted(path.name for path in case_folder.rglob("*")) == before


def test_a_form_of_another_page_cannot_write(visit, case_folder):
    client = visit(case_folder)
    del client.headers["Origin"]
    answer = client.post("/api/cases/0/strokes", json={"action": "finish", "reviewer": "KT"})
    assert answer.status_code == 403
    assert not (case_folder / "review.jsonl").exists()


def test_every_answer_forbids_what_the_page_does_not_need(visit, case_folder):
    client = visit(case_folder)
    for path in ("/", "/api/library", "/page/main.js", "/nothing", "/api/cases/9/facts"):
        answer = client.get(path)
        for name in SECURITY_HEADERS:
            assert name in answer.headers, (path, name)
        assert "access-control-allow-origin" not in answer.headers


def test_requests_are_bounded_in_size_and_number(visit, case_folder):
    client = visit(case_folder)
    big = b" " * (MAX_BODY_BYTES + 1)
    assert client.post("/api/cases/0/strokes", content=big).status_code == 413
    chunks = iter([b"{}", b" "])
    assert client.post("/api/cases/0/strokes", content=chunks).status_code == 411
    codes = {client.get("/api/schema.json").status_code for _ in range(700)}
    assert codes == {200, 429}


def test_no_path_is_taken_from_the_client(visit, case_folder):
    client = visit(case_folder)
    for path in (
        "/page/../../ubereport/errors.py",
        "/page/%2e%2e/%2e%2e/pyproject.toml",
        "/page//etc/passwd",
        "/api/cases/../facts",
        "/fonts/..%2f..%2fREADME.md",
    ):
        assert client.get(path).status_code in (404, 400)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.integers()
    | st.text(max_size=20)
    | st.sampled_from([action.value for action in Action] + ["KT", "0", "C001"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=6,
)
FIELDS = ("action", "reviewer", "event", "stretch", "time_s", "area_frac", "mask_png", "undoes")
LIKELY = st.fixed_dictionaries(
    {
        "action": st.sampled_from([action.value for action in Action]),
        "reviewer": st.sampled_from(["KT", "MS"]),
    },
    optional={
        "event": st.lists(st.floats(0, 200), min_size=2, max_size=2),
        "stretch": st.lists(st.floats(0, 200), min_size=2, max_size=2).map(sorted),
        "time_s": st.floats(-1, 200),
        "area_frac": st.floats(-0.1, 1.1),
    },
)


@pytest.mark.slow
def test_two_thousand_requests_of_any_shape_break_nothing(visit, case_folder, monkeypatch):
    client = visit(case_folder)
    monkeypatch.setattr(Gate, "_is_too_often", lambda _: False)
    seen: set[int] = set()

    @settings(
        max_examples=1700,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(LIKELY | st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON)
    def stroke(content):
        try:
            body = json.dumps(content).encode()
        except (ValueError, UnicodeEncodeError):
            return
        seen.add(client.post("/api/cases/0/strokes", content=body).status_code)

    @settings(
        max_examples=600,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        st.sampled_from(["facts", "review", "picture", "small", "report", "nothing"]),
        st.integers(-3, 2**70) | st.text(max_size=5),
        st.dictionaries(
            st.sampled_from(["time_s", "width", "exact", "reviewer"]),
            st.text(max_size=12) | st.floats().map(str) | st.sampled_from(["KT", "12.5"]),
        ),
    )
    def look(what, case, query):
        address = f"/api/cases/{quote(str(case), safe='')}/{what}"
        seen.add(client.get(address, params=query).status_code)

    stroke()
    look()
    assert 200 in seen
    assert {code for code in seen if code >= 500} == set()


def test_a_refusal_is_said_in_the_language_of_the_server(shelf_of, case_folder):
    with speaking(translator(find_language("de"))):
        app = review_app(shelf_of(case_folder), Gate(PORT), lambda _: None)
    client = TestClient(app, base_url=f"http://127.0.0.1:{PORT}")
    assert "Adresse öffnen" in client.get("/", params={"token": "guess"}).text


def test_facts_and_errors_are_said_in_the_language_of_the_server(visit, case_folder):
    with speaking(translator(find_language("de"))):
        client = visit(case_folder)
    facts = client.get("/api/cases/0/facts").json()
    assert facts["loss_words"]["out_of_body"] == "außerhalb des Körpers"
    titles = [m["title"] for m in client.get("/api/cases/0/review?reviewer=KT").json()["metrics"]]
    assert "Mittlere Fläche" in titles
