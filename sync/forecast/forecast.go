package forecast

import (
	"fmt"
	"math"
	"time"

	"damsync/internal/grant"
)

const (
	month = 30 * 24 * time.Hour
	// pageRows is what a page of the list brings that is new: it overlaps the one before.
	pageRows = 97
	// enoughDays of observation make a rate that is worth projecting.
	enoughDays = 3
	// paceUsed is the share of the configured pace that is reached: each second has a margin.
	paceUsed = 1 / 1.08
)

// Of computes the forecast. It fails only on a schedule that the parser refuses.
func Of(in Input) (Report, error) {
	r := Report{Days: []Spent{}, Notes: []string{}, Targets: []Target{}}
	r.Month = monthOf(in)
	r.Classes, r.Days = classesOf(in), daysOf(in)
	r.Library = countsOf(in.Library)
	costs, err := costsOf(in, r.Library)
	if err != nil {
		return r, err
	}
	r.Costs = costs
	for _, c := range costs {
		r.CostsMonth += c.Requests
	}
	r.Month.project(in, r.CostsMonth)
	r.Targets = targetsOf(in, r.Library)
	r.FullResync = FullResync(in.Library, r.Month.Balance, in.PerSecond)
	r.Notes = notesOf(r, in)
	return r, nil
}

func monthOf(in Input) Month {
	m := Month{Since: in.Since, Limit: in.Limit, Reserved: in.Reserved}
	if !in.Rolling {
		m.Until = &in.Until
	}
	for _, d := range in.Days {
		if !d.Day.Before(in.Since) {
			m.Used += total(d.ByClass)
		}
	}
	m.Balance = max(in.Limit-in.Reserved-m.Used, 0)
	return m
}

// project goes on as the whole days observed last, at most seven; before there is one, as
// the configuration would.
func (m *Month) project(in Input, perMonth int64) {
	today := in.Now.Truncate(24 * time.Hour)
	daily, days := recent(in.Days, today)
	m.ProjectedBy = "observed"
	if days == 0 {
		daily, m.ProjectedBy = float64(perMonth)/30, "configuration"
	}
	if in.Rolling {
		m.Projected = whole(daily * 30)
		return
	}
	m.Projected = m.Used + whole(daily*in.Until.Sub(in.Now).Hours()/24)
}

// recent is what the whole days before today spent on average, from the first of the last
// seven on which anything was.
func recent(spent []Day, today time.Time) (daily float64, days int) {
	sum := int64(0)
	for _, d := range spent {
		age := int(today.Sub(d.Day).Hours() / 24)
		if age < 1 || age > 7 {
			continue
		}
		days = max(days, age)
		sum += total(d.ByClass)
	}
	if days == 0 {
		return 0, 0
	}
	return float64(sum) / float64(days), days
}

func classesOf(in Input) []Class {
	used := map[grant.Class]int64{}
	for _, d := range in.Days {
		if d.Day.Before(in.Since) {
			continue
		}
		for class, n := range d.ByClass {
			used[class] += n
		}
	}
	classes := make([]Class, len(in.Classes))
	for i, a := range in.Classes {
		classes[i] = Class{
			Class: string(a.Class), Used: used[a.Class], Floor: a.Floor,
			LeftMonth: a.Month, LeftToday: a.Today, Surplus: a.Surplus,
		}
		if a.Deferred != nil {
			classes[i].DeferredUntil, classes[i].Reason = &a.Deferred.Until, a.Deferred.Reason
		}
	}
	return classes
}

func daysOf(in Input) []Spent {
	days := []Spent{}
	for _, d := range in.Days {
		if d.Day.Before(in.Since) {
			continue
		}
		spent := Spent{Day: d.Day.Format(time.DateOnly), Used: total(d.ByClass), ByClass: map[string]int64{}}
		for class, n := range d.ByClass {
			spent.ByClass[string(class)] = n
		}
		days = append(days, spent)
	}
	return days
}

func countsOf(l Library) Counts {
	c := Counts{Assets: l.Assets, Details: l.Details, Fields: l.Fields, ObservedDays: math.Round(l.ObservedDays*10) / 10}
	if l.ObservedDays > 0 {
		days := max(l.ObservedDays, 1.0/24) // what happened within minutes is no rate
		c.ChangedPerDay, c.AddedPerDay, c.RemovedPerDay = float64(l.Changed)/days, float64(l.Added)/days, float64(l.Removed)/days
	}
	return c
}

// FullResync is what reading every summary, detail and field that a rule needs takes, for a
// library as the mirror has it.
func FullResync(l Library, balance int64, perSecond int) Resync {
	r := Resync{Summaries: pages(l.Assets) + references(l.Folders), Details: l.Details, Fields: l.Fields}
	r.Requests = r.Summaries + r.Details + r.Fields
	r.Seconds = math.Round(float64(r.Requests) / (float64(max(perSecond, 1)) * paceUsed))
	r.OfBalance = 1
	if balance > 0 {
		r.OfBalance = float64(r.Requests) / float64(balance)
	}
	return r
}

func notesOf(r Report, in Input) []string {
	notes := []string{}
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	ours := in.Limit - in.Reserved
	if in.Library.Assets == 0 {
		note("the mirror is empty: what the library costs is known after the first damsync serve or damsync resync")
	}
	if in.Library.ObservedDays < enoughDays {
		note("the library was observed for %.1f days: too few to say how much of it changes, so details of changed assets are a guess", in.Library.ObservedDays)
	}
	if in.Library.Unread > 0 {
		note("%d details are still to be read for the first time", in.Library.Unread)
	}
	if r.CostsMonth > ours {
		note("the configuration costs %d requests a month, %d are there: poll less often, or let fewer rules read details", r.CostsMonth, ours)
	}
	if r.Month.Projected > ours {
		note("the month is going to be spent before its end; less urgent work is deferred then")
	}
	if r.Month.Used > ours {
		note("more is spent than the configuration allows a month: everything is deferred until requests come back")
	}
	return notes
}

func pages(assets int64) int64 { return assets/pageRows + 1 }

func total(byClass map[grant.Class]int64) int64 {
	sum := int64(0)
	for _, n := range byClass {
		sum += n
	}
	return sum
}

// whole rounds up to requests.
func whole(requests float64) int64 { return int64(math.Ceil(requests - 1e-9)) }
