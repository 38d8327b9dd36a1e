#!/usr/bin/env bash
# A host checks out its own folder of a repository, by `git sparse-checkout`. The rest is not there, and for git nothing has
# changed. For pygit2 every file of the rest is deleted. dulwich and GitPython say what git says.
. "$(dirname "$0")/lib/git.sh"
python_packages pygit2==1.21.0 dulwich==1.2.21 GitPython==3.2.1
new_repository repository
mkdir repository/this-host repository/other-host
echo services: | tee repository/this-host/compose.yaml >repository/other-host/compose.yaml
commit repository
git -C repository sparse-checkout set this-host
seen "git" "" "$(git -C repository status --porcelain)"
seen "GitPython" False "$(python3 -c 'import git; print(git.Repo("repository").is_dirty(untracked_files=True))')"
seen "dulwich" "[] []" "$(python3 -c '
from dulwich import porcelain
status = porcelain.status("repository")
print(sum(status.staged.values(), []), status.unstaged + status.untracked)')"
seen "pygit2" "{'other-host/compose.yaml': 'WT_DELETED'}" "$(python3 -c '
import pygit2
print({path: pygit2.enums.FileStatus(flags).name for path, flags in pygit2.Repository("repository").status().items()})')"
