#!/usr/bin/env bash
# A linked worktree has a name of its own for its commits (`extensions.worktreeConfig`). git and pygit2 take that name. GitPython and
# dulwich take the one of the main worktree: the history says that somebody else has done it.
. "$(dirname "$0")/lib/git.sh"
python_packages GitPython==3.2.1 dulwich==1.2.21 pygit2==1.21.0
new_repository repository
commit repository
git -C repository config extensions.worktreeConfig true
git -C repository worktree add --quiet -b deploys ../worktree
git -C worktree config --worktree user.name robot
author() { git -C worktree log -1 --format=%an; }
commit worktree
seen "git" robot "$(author)"
seen "pygit2" robot "$(python3 -c 'import pygit2; print(pygit2.Repository("worktree").default_signature.name)')"
python3 -c 'import git; git.Repo("worktree").index.commit("A commit")'
seen "GitPython" finding "$(author)"
python3 -c 'from dulwich import porcelain; porcelain.commit("worktree", message="A commit")'
seen "dulwich" finding "$(author)"
