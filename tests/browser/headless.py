"""A real browser without a window and without a network."""

import subprocess

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--enable-logging=stderr",
    # No name resolves and no proxy answers: whatever a page asks for fails and is logged.
    "--host-resolver-rules=MAP * ~NOTFOUND",
)


def run_browser(program, url, profile, *options):
    return subprocess.run(
        [program, *FLAGS, f"--user-data-dir={profile}", *options, url],
        capture_output=True,
        timeout=120,
        check=True,
    )


def complaints(log: bytes) -> list[str]:
    """Return what the page itself made the browser say: console lines and refused loads."""
    lines = log.decode(errors="replace").splitlines()
    return [line for line in lines if "CONSOLE" in line or "Content Security Policy" in line]
