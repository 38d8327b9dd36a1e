#!/usr/bin/env bash
# Compose of Docker Desktop calls itself 2.40.3-desktop.1, and Debian's 2.26.1-4. For semver both are older than the release that
# they are made of, as the rules of semantic versions have it. For packaging Debian's is newer, and Desktop's is no version. For
# looseversion both are newer. Of Debian's engine, 20.10.24+dfsg1, semver alone says that it is the same release. A check for
# "at least 2.26.1" has three answers.
. "$(dirname "$0")/lib/finding.sh"
python_packages packaging==26.4 semver==3.1.2 looseversion==1.3.0
compared() { # CODE that defines `read`
    python3 -c '
import sys
exec(sys.argv[1])
def compared(version, release):
    try: return "newer" if read(version) > read(release) else "older" if read(version) < read(release) else "same"
    except ValueError: return "refused"
print(compared("2.40.3-desktop.1", "2.40.3"), compared("2.26.1-4", "2.26.1"), compared("20.10.24+dfsg1", "20.10.24"))' "$1"
}
seen "semver" "older older same" "$(compared 'from semver import Version; read = Version.parse')"
seen "packaging" "refused newer newer" "$(compared 'from packaging.version import Version as read')"
seen "looseversion" "newer newer newer" "$(compared 'from looseversion import LooseVersion as read')"
