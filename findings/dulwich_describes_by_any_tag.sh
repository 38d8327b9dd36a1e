#!/usr/bin/env bash
# A commit has the annotated tag of a release, and the one after it a tag that only marks what was deployed. `git describe` and
# pygit2 name the release and count from it; dulwich names the mark, as if the commit were a release.
. "$(dirname "$0")/lib/git.sh"
python_packages dulwich==1.2.21 pygit2==1.21.0
new_repository repository
commit repository
git -C repository tag --annotate --message "A release" v2
commit repository
git -C repository tag deployed
after=v2-1-g$(git -C repository rev-parse --short=7 HEAD)
seen "git" "$after" "$(git -C repository describe --abbrev=7)"
seen "pygit2" "$after" "$(python3 -c 'import pygit2; print(pygit2.Repository("repository").describe())')"
seen "dulwich" deployed "$(python3 -c 'from dulwich import porcelain; print(porcelain.describe("repository"))')"
