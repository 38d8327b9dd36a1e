//! What is in the project directory: build contexts, modules, the git work tree.
