#!/usr/bin/env bash
# git can keep its references in tables (`git init --ref-format=reftable`), which is to be its default from version 3. dulwich's list
# of branches has each name without its first letter then. GitPython's lists of branches and tags are empty, without an error.
# pygit2 refuses the repository.
. "$(dirname "$0")/lib/git.sh"
python_packages dulwich==1.2.21 GitPython==3.2.1 pygit2==1.21.0
new_repository repository --ref-format=reftable
commit repository
git -C repository branch staging
git -C repository tag v1
seen "branches, git" "main staging" "$(git -C repository branch --format '%(refname:short)' | xargs)"
seen "branches, dulwich" "[b'ain', b'taging']" "$(python3 -c 'from dulwich import porcelain; print(porcelain.branch_list("repository"))')"
seen "branches, GitPython" "[]" "$(python3 -c 'import git; print(git.Repo("repository").branches)')"
seen "tags, GitPython" "[]" "$(python3 -c 'import git; print(git.Repo("repository").tags)')"
seen "pygit2" GitError "$(python3 -c '
import pygit2
try: print(pygit2.Repository("repository").path)
except pygit2.GitError as error: print(type(error).__name__)')"
