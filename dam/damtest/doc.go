// Package damtest is the conformance suite for adapters: the promises of dam.Adapter
// as cases that run against any target. Where the words of the interface leave room,
// the cases are the definition.
//
// In a test:
//
//	func TestConformance(t *testing.T) {
//		damtest.Run(t, func(t *testing.T) damtest.Target {
//			root := t.TempDir()
//			return damtest.Target{
//				Name: "x",
//				Open: func(instance string) (dam.Adapter, error) { return New(root, "x", instance) },
//			}
//		})
//	}
//
// Outside tests, Verify runs the same cases against a scratch place of a live target.
// Cases are skipped, with the reason, that need a capability the target does not have
// or a hook that the Target does not set.
package damtest
