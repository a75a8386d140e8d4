package sync

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"damsync/internal/state"
	"damsync/sync/audit"
)

// auditMemory is what one audit of the library hands to the next.
type auditMemory struct {
	Bounds audit.Bounds `json:"bounds"`
	Cap    int          `json:"cap,omitempty"` // the highest total_count the library gives; 0: none is known
	// Suspects of the last audit, some of them, and how many assets it could not settle: counted and
	// not listed, or suspects of the audit before, too, whose own detail says that they live.
	Suspects  []string `json:"suspects,omitempty"`
	Unsettled int      `json:"unsettled,omitempty"`
	// What audits that counts asked for have cost on that day, in requests.
	Day   string `json:"day,omitempty"`
	Spent int    `json:"spent,omitempty"`
}

// suspectsKept bounds what one audit remembers for the next.
const suspectsKept = 100

// learn takes what an audit found.
func (m *auditMemory) learn(r audit.Report) {
	m.Unsettled = r.Hidden
	for _, id := range m.Suspects {
		if slices.Contains(r.Suspects, id) {
			m.Unsettled++
		}
	}
	m.Suspects = slices.Clone(r.Suspects[:min(len(r.Suspects), suspectsKept)])
}

func auditMemoryOf(o state.ObservationState) (auditMemory, error) {
	var m auditMemory
	if len(o.Cursor) == 0 {
		return m, nil
	}
	if err := json.Unmarshal(o.Cursor, &m); err != nil {
		return m, fmt.Errorf("read what the last audit has left: %w", err)
	}
	return m, nil
}

// A twentieth of the month is for the windows that are counted in turn, three twentieths for audits that
// counts ask for, evenly over its days: where no webhook tells of deletions, an audit for each of fifty a day in a
// library of a million costs an eighth of 200,000 requests.
const (
	auditPart = 20
	askedPart = 3 // of these parts
	monthDays = 30
	leastDay  = 40 // requests, however small the month
	usualDay  = 333
)

func auditsADay(month int64) int {
	if month <= 0 {
		return usualDay
	}
	return max(int(month/auditPart/monthDays), leastDay)
}

// affordable tells whether counts may start an audit: the day's share comes little by
// little, a quarter of it at the day's start.
func (m auditMemory) affordable(now time.Time, month int64) bool {
	now = now.UTC()
	if m.Day != now.Format(time.DateOnly) {
		return true
	}
	day := float64(askedPart * auditsADay(month))
	gone := now.Sub(now.Truncate(24*time.Hour)).Hours() / 24
	return float64(m.Spent) < day*(0.25+0.75*gone)
}

// spend counts requests.
func (m *auditMemory) spend(now time.Time, requests int) {
	if day := now.UTC().Format(time.DateOnly); m.Day != day {
		m.Day, m.Spent = day, 0
	}
	m.Spent += requests
}
