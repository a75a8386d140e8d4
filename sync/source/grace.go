package source

import "time"

// Grace is how long after its start a second is surely over, even when the clock that wrote the time is a little behind.
const Grace = 2 * time.Second

// GraceEnd returns when the second of modified is surely over; the library's times have whole seconds. Until then another
// change may carry the same modified_at.
func GraceEnd(modified time.Time) time.Time { return modified.Truncate(time.Second).Add(Grace) }
