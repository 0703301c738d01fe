"""The proposal sheet in a real browser: keys, strokes, undo, and a second visit."""

import html
import json
import re

import cv2
import numpy as np
import pytest
from browser.headless import complaints, run_browser

from ubereport.laboratory.training.answers import (
    Answer,
    Brush,
    read_answers,
    read_proposal,
    settle_answers,
)
from ubereport.laboratory.training.propose import Proposer, propose

pytestmark = pytest.mark.browser

# A person at the sheet. Fake pointers cannot be captured, and a download keeps the browser from
# ending, so these two are taken out.
VISIT = """
<script>
canvas.setPointerCapture = () => {};
HTMLAnchorElement.prototype.click = () => {};
const press = key =>
  document.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
const ready = async () => {
  while (canvas.dataset.ready !== name()) await new Promise(done => setTimeout(done, 10));
};
function drag(places) {
  const box = canvas.getBoundingClientRect();
  const scale = Math.min(box.width / canvas.width, box.height / canvas.height);
  places.forEach(([x, y], i) => canvas.dispatchEvent(new PointerEvent(
    i === 0 ? "pointerdown" : "pointermove", {pointerId: 1,
      clientX: box.left + box.width / 2 + (x - canvas.width / 2) * scale,
      clientY: box.top + box.height / 2 + (y - canvas.height / 2) * scale})));
  canvas.dispatchEvent(new PointerEvent("pointerup", {pointerId: 1}));
}
addEventListener("load", async () => {
  await ready();
  ACTIONS
  const saved = document.createElement("pre");
  saved.id = "saved";
  saved.textContent = save();
  document.body.append(saved);
});
</script></body>
"""
FIRST = """
  press("a"); await ready();
  press("1"); drag([[30, 25], [50, 25], [50, 35], [30, 35]]);
  press("2"); drag([[0, 0], [4, 0], [4, 40], [0, 40]]);
  press("3"); drag([[20, 20], [26, 20], [26, 40], [20, 40]]);
  press("Backspace"); press("a"); await ready();
  press("z"); await ready();
  press("r"); press("Backspace"); await ready();
"""
SECOND = """
  press("n"); await ready(); press("u"); await ready(); press("r");
"""


# On another machine: nothing is kept here, but the file with the answers is at hand.
ELSEWHERE = """
  const given = new DataTransfer();
  given.items.add(new File([TEXT], "answers.json", {type: "application/json"}));
  byId("file").files = given.files;
  await byId("file").onchange({target: byId("file")});
  await ready();
"""


def red(rgb):
    return (rgb[..., 0].astype(np.float32) - rgb[..., 1]) / 255


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("stills")
    for i in range(5):
        rgb = np.full((40, 60, 3), (150, 140, 130), np.uint8)
        rgb[:20, : 12 * (i + 1)] = (220, 20, 20)
        cv2.imwrite(str(root / f"s{i}.png"), rgb[..., ::-1])
    out = root / "to-label"
    propose(sorted(root.glob("*.png")), Proposer("red", red, 40, 0.5), 5, out)
    return out


def visit(browser, folder, profile, actions, path):
    """Open the sheet, do something, and return what it saves."""
    page = (folder / "sheet.html").read_text()
    path.write_text(page.replace("</body>", VISIT.replace("ACTIONS", actions)))
    done = run_browser(browser, path.as_uri(), profile, "--dump-dom", "--virtual-time-budget=8000")
    assert complaints(done.stderr) == []
    saved = re.search(r'<pre id="saved">(.*?)</pre>', done.stdout.decode(), re.DOTALL)
    return json.loads(html.unescape(saved[1]))


def test_answers_strokes_and_undo_come_back(browser, folder, tmp_path):
    table = visit(browser, folder, tmp_path / "profile", FIRST, tmp_path / "sheet.html")
    key, stills = read_proposal(folder)
    (tmp_path / "answers.json").write_text(json.dumps(table))
    names = [still.name for still in stills]
    answers = read_answers(tmp_path / "answers.json", key, frozenset(names))
    # Undone was the last answer, and of the strokes the last one.
    assert [answers[name].answer for name in names[:3]] == [
        Answer.ACCEPT,
        Answer.ACCEPT,
        Answer.ZERO,
    ]
    assert len(answers) == 3
    assert [edit.brush for edit in answers[names[1]].edits] == [Brush.BLOOD, Brush.CLEAR]
    np.testing.assert_allclose(
        answers[names[1]].edits[0].points, [(30, 25), (50, 25), (50, 35), (30, 35)], atol=0.3
    )
    settled = settle_answers(folder, tmp_path / "answers.json", "s1")
    mended = next(a for a in settled.annotations if a.still == f"{names[1]}.png")
    expected = cv2.imread(str(folder / "masks" / f"{names[1]}.png"), 0) > 0
    expected[25:35, 30:50] = True
    expected[:, :4] = False
    assert (mended.blood != expected).mean() < 0.01
    assert settled.n_open == 2
    # The second visit goes on where the first one stopped.
    again = visit(browser, folder, tmp_path / "profile", SECOND, tmp_path / "sheet.html")
    given = {name: value["answer"] for name, value in again["answers"].items()}
    assert given == dict(
        zip(names, ["accept", "accept", "zero", "reject", "undecided"], strict=True)
    )
    text = json.dumps(json.dumps(again)).replace("<", "\\u003c")
    actions = ELSEWHERE.replace("TEXT", text)
    moved = visit(browser, folder, tmp_path / "other", actions, tmp_path / "sheet.html")
    assert moved == again
    strange = ELSEWHERE.replace("TEXT", json.dumps('{"schema": "other"}'))
    nothing = visit(browser, folder, tmp_path / "third", strange, tmp_path / "sheet.html")
    assert nothing["answers"] == {}
