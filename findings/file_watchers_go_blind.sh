#!/usr/bin/env bash
# A configuration file is watched by its name. Editors and deploys replace such a file by renaming another one onto it: watchfiles
# sees the first time, and from then on nothing, without an error; watchdog sees each. Where the name is a link, watchfiles sees
# what is written behind it, and not that it leads elsewhere now; watchdog sees the second and not the first.
. "$(dirname "$0")/lib/finding.sh"
python_packages watchfiles==1.3.0 watchdog==7.1.0
cat >watch.py <<'PYTHON'
import os, sys, tempfile, threading, time
import watchfiles
from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer

def write(name, text):
    with open(name, "a") as file:
        file.write(text)

def replace(name):
    write("new", "replaced")
    os.replace("new", name)

def lead(name, target):
    os.symlink(target, "link")
    os.replace("link", name)

# What is watched, and two changes of it.
CASES = {
    "replaced": ("a.yaml", lambda: replace("a.yaml"), lambda: replace("a.yaml")),
    "written": ("a.yaml", lambda: write("a.yaml", "1"), lambda: write("a.yaml", "2")),
    "written-behind": ("link.yaml", lambda: write("target", "1"), lambda: write("target", "2")),
    "led-elsewhere": ("link.yaml", lambda: lead("link.yaml", "other"), lambda: lead("link.yaml", "target")),
}

def with_watchfiles(watched, names):
    ready = threading.Event()
    def run():
        for changes in watchfiles.watch(watched, "last", debounce=50, step=10, rust_timeout=50, yield_on_timeout=True):
            ready.set()
            names.update(os.path.basename(path) for _, path in changes)
    threading.Thread(target=run, daemon=True).start()
    ready.wait()

def with_watchdog(watched, names):
    class Handler(FileSystemEventHandler):
        def on_any_event(self, event):
            names.update((os.path.basename(event.src_path), os.path.basename(event.dest_path)))
    observer = Observer()
    observer.daemon = True
    observer.schedule(Handler(), watched)
    observer.schedule(Handler(), "last")
    observer.start()

def holds(condition, seconds):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()

library, case = sys.argv[1:]
os.chdir(tempfile.mkdtemp(dir="."))
for name in ("a.yaml", "target", "other", "last"):
    write(name, "0")
os.symlink("target", "link.yaml")
watched, *changes = CASES[case]
names = set()
globals()[f"with_{library}"](watched, names)
for change in changes:
    names.clear()
    change()
    write("last", "1") # what comes after it is seen in any case, so the change would have been
    assert holds(lambda: "last" in names, 30)
    print("seen" if holds(lambda: watched in names, 2) else "missed", end=" ")
PYTHON
twice() { python3 watch.py "$@" | xargs; }
seen "watchfiles, file written" "seen seen" "$(twice watchfiles written)"
seen "watchfiles, file replaced" "seen missed" "$(twice watchfiles replaced)"
seen "watchfiles, file behind the link written" "seen seen" "$(twice watchfiles written-behind)"
seen "watchfiles, link led elsewhere" "missed missed" "$(twice watchfiles led-elsewhere)"
seen "watchdog, file written" "seen seen" "$(twice watchdog written)"
seen "watchdog, file replaced" "seen seen" "$(twice watchdog replaced)"
seen "watchdog, file behind the link written" "missed missed" "$(twice watchdog written-behind)"
seen "watchdog, link led elsewhere" "seen seen" "$(twice watchdog led-elsewhere)"
