package main

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"

	"damsync/internal/pgtest"
)

// asProgram makes the test binary be damsync: the tests drive the program as its
// users do, built with the same flags as the tests.
const asProgram = "DAMSYNC_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main() // does not return
	}
	// The tests mostly wait for processes of their own.
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(max(6, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err) // the flag is the testing package's
	}
	pgtest.Main(m)
}
