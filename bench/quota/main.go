// Command quota checks that the request budget holds, however processes die and months turn.
//
//	go run ./bench/quota --procs 3 --kill9 20
//
// Several processes spend one budget as fast as the ledger allows. Some are killed with SIGKILL and
// replaced, and a receiver notes when each request arrives. Then three replicas live two months on a
// virtual clock, with bulk work that never has enough, webhooks and polls every day, and a clock that
// is set back past the turn of the month.
//
// Bounds: no request above the budget, no more than 10 in any sliding second, every grant counted;
// at least 80 % of each month used; no webhook and no poll deferred; bulk work takes at most 15 % of
// a month on one day.
package main

import (
	"context"
	"flag"
	"os"

	"damsync/bench/internal/benchkit"
)

func main() {
	p := processes{}
	flag.IntVar(&p.count, "procs", 3, "processes at a time")
	flag.IntVar(&p.kills, "kill9", 20, "processes to kill")
	flag.Int64Var(&p.budget, "requests", 350, "budget of the processes")
	month := flag.Int64("month", 4000, "budget of each month on the virtual clock")
	os.Exit(benchkit.Main(func(ctx context.Context, s *benchkit.Sheet) error {
		o, err := p.spend(ctx)
		if err != nil {
			return err
		}
		p.judge(s, o)
		return (&replicas{budget: *month}).run(ctx, s)
	}, parts()))
}

func parts() benchkit.Parts { return benchkit.Parts{"spend": benchkit.Task(spendBudget)} }
