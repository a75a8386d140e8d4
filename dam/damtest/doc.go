// Package damtest is the conformance suite for adapters: what dam.Adapter
// promises, as cases that run against any target. It is the definition of the
// interface's semantics where words leave room.
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
// Outside of tests Verify runs the same cases, against a scratch place of a
// live target. Cases that the capabilities exclude, and those that need a hook
// which the Target does not have, are skipped and say why.
package damtest
