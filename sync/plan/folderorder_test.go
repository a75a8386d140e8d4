package plan

import "testing"

func TestFolderOrder(t *testing.T) {
	o := CompileOrder([]string{"/Press/**", "/Brand/Logos", "/Brand/**"})
	for folder, want := range map[string]int{
		"/Press": 0, "/Press/2026": 0, "/Brand/Logos": 1, "/Brand": 2, "Brand/Icons/": 2, "/": 3, "/Other": 3,
	} {
		if got := o.Rank(folder); got != want {
			t.Errorf("%s ranks %d, want %d", folder, got, want)
		}
	}
	if (FolderOrder{}).Rank("/a") != (FolderOrder{}).Rank("/b") {
		t.Error("without patterns not all folders rank alike")
	}
	if ValidFolder(" ") || ValidFolder("/a[") || !ValidFolder("/a/**") {
		t.Error("ValidFolder confuses valid and invalid patterns")
	}
}
