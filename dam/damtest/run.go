package damtest

import "context"

// TB is what a case needs of a test. *testing.T implements it, but the package does
// not import testing, since it is part of the damsync binary. Fatalf and Skipf end
// the calling goroutine.
type TB interface {
	Context() context.Context
	Helper()
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
	Failed() bool
	Cleanup(func())
}

// Runner is a test that can run sub-tests, such as *testing.T.
type Runner[Self any] interface {
	TB
	Run(name string, f func(Self)) bool
}

// Run runs every case as a sub-test of t, each with a target of its own.
func Run[T Runner[T]](t T, newTarget func(T) Target) {
	for _, group := range groups() {
		t.Run(group.name, func(t T) {
			for _, c := range group.cases {
				t.Run(c.name, func(t T) { c.run(newKit(t, newTarget(t))) })
			}
		})
	}
}

type group struct {
	name  string
	cases []testCase
}

type testCase struct {
	name string
	run  func(*kit)
}

func groups() []group {
	return []group{
		{"put", putCases()},
		{"names", nameCases()},
		{"metadata", metadataCases()},
		{"move", moveCases()},
		{"retire", retireCases()},
		{"generations", generationCases()},
		{"body", bodyCases()},
		{"resume", resumeCases()},
		{"foreign", foreignCases()},
		{"drift", driftCases()},
		{"list", listCases()},
		{"trouble", troubleCases()},
		{"crash", crashCases()},
	}
}
