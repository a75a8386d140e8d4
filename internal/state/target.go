package state

// TargetPlan says how far a target is planned.
type TargetPlan struct {
	Name        string
	Fingerprint []byte
	Epoch       int64
	Problem     string
}
