package rules

import (
	"testing"

	"damsync/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.MainNoLeaks(m) }
