// Verifies checkpoints, proofs that a record is in a trail, and consistency proofs with code that is not undrift's:
// golang.org/x/mod's sumdb/note and sumdb/tlog, and transparency-dev/formats. It reads one case a line from the file that it is
// given, as JSON, and writes one line for each: "accepted", or "refused: " and why.
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	checkpoints "github.com/transparency-dev/formats/log"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A testCase has what its kind needs. Texts that somebody may have tampered with are bytes: they need be no UTF-8.
type testCase struct {
	Kind       string
	Key        string
	Checkpoint []byte
	Older      []byte
	Proof      []byte
	Hashes     []string
	Record     []byte
	Index      int64
}

func main() {
	file, err := os.Open(os.Args[1])
	if err != nil {
		panic(err)
	}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for lines.Scan() {
		var it testCase
		if err := json.Unmarshal(lines.Bytes(), &it); err != nil {
			panic(err)
		}
		if err := verify(&it); err != nil {
			fmt.Fprintf(out, "refused: %q\n", err.Error())
		} else {
			fmt.Fprintln(out, "accepted")
		}
	}
	if err := lines.Err(); err != nil {
		panic(err)
	}
}

func verify(it *testCase) error {
	switch it.Kind {
	case "checkpoint":
		_, err := open(it.Checkpoint, it.Key)
		return err
	case "record":
		return verifyRecord(it)
	case "consistency":
		return verifyConsistency(it)
	}
	panic("no such kind: " + it.Kind)
}

func open(text []byte, key string) (tree tlog.Tree, err error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return tree, err
	}
	checkpoint, _, _, err := checkpoints.ParseCheckpoint(text, verifier.Name(), verifier)
	if err != nil {
		return tree, err
	}
	if len(checkpoint.Hash) != tlog.HashSize {
		return tree, errors.New("the root is no SHA-256")
	}
	tree.N = int64(checkpoint.Size)
	copy(tree.Hash[:], checkpoint.Hash)
	return tree, nil
}

// No package of Debian's reads the text of c2sp.org/tlog-proof@v1: it is taken apart here, and nothing more.
func verifyRecord(it *testCase) error {
	head, checkpoint, found := strings.Cut(string(it.Proof), "\n\n")
	lines := strings.Split(head, "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("no proof")
	}
	if lines[1] != "index "+strconv.FormatInt(it.Index, 10) {
		return errors.New("another index")
	}
	proof, err := hashes(lines[2:])
	if err != nil {
		return err
	}
	tree, err := open([]byte(checkpoint), it.Key)
	if err != nil {
		return err
	}
	return tlog.CheckRecord(proof, tree.N, tree.Hash, it.Index, tlog.RecordHash(it.Record))
}

func verifyConsistency(it *testCase) error {
	older, err := open(it.Older, it.Key)
	if err != nil {
		return err
	}
	newer, err := open(it.Checkpoint, it.Key)
	if err != nil {
		return err
	}
	proof, err := hashes(it.Hashes)
	if err != nil {
		return err
	}
	return tlog.CheckTree(proof, newer.N, newer.Hash, older.N, older.Hash)
}

func hashes(texts []string) ([]tlog.Hash, error) {
	var hashes []tlog.Hash
	for _, text := range texts {
		hash, err := tlog.ParseHash(text)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}
