package cmpsim

func adjectives() []string {
	return []string{
		"Sunlit", "Quiet", "Bold", "Golden", "Misty", "Urban", "Coastal", "Autumn", "Winter", "Bright",
		"Rustic", "Modern", "Classic", "Vivid", "Gentle", "Northern", "Fresh", "Electric", "Hidden", "Open",
	}
}

func nouns() []string {
	return []string{
		"harbor", "skyline", "meadow", "workshop", "portrait", "product", "banner", "logo", "interior", "team",
		"landscape", "packaging", "festival", "market", "bridge", "garden", "studio", "launch", "journey", "pattern",
	}
}

// awkwardTitles are valid titles that break naive file names.
func awkwardTitles() []string {
	return []string{
		"../../etc/passwd", "CON", "Größe & Farbe", "日本語のタイトル", "a/b\\c: d*e?", "  spaces around  ",
		"Cafe\u0301 de\u0301composed", "🎉🎊 party 🎈🎁 pack 🪅", "same name", "same name", "SAME NAME", ".hidden",
		"quote \" and <tag> & 'tick'", "trailing dots...", "line\nbreak", "percent %2F %00 {braces}",
		"A very long title that goes on and on, past every limit that a file system sets on the length of one name, because somebody pasted " +
			"the whole briefing into the title field and nobody ever shortened it afterwards, so here it is in all of its considerable glory 🌄🌄🌄",
	}
}

func tagWords() []string {
	return []string{"hero", "outdoor", "people", "product", "seasonal", "b2b", "social", "print", "evergreen", "téléphone"}
}

type folderPlan struct {
	path   string
	weight int // share of the assets
}

func folderPlans() []folderPlan {
	return []folderPlan{
		{"/Brand", 12},
		{"/Brand/Logos", 12},
		{"/Brand/Logos/Legacy", 4},
		{"/Brand/Icons", 8},
		{"/Brand/Photography", 12},
		{"/Brand/Photography/Products", 8},
		{"/Campaigns", 2},
		{"/Campaigns/2025", 6},
		{"/Campaigns/2026", 6},
		{"/Campaigns/2026/Spring", 6},
		{"/Campaigns/2026/Autumn", 4},
		{"/Press", 3},
		{"/Press/Kits", 3},
		{"/Internal", 3},
		{"/Internal/Drafts", 3},
		{"/Événements & Salons", 3},
		{"/Empty", 0},
	}
}

// rootWeight is the share of assets in no folder.
const rootWeight = 5

type groupPlan struct {
	name   string
	multi  bool
	values []string
	// weights are the shares of the values and, last, of the assets without a value.
	weights []int
}

func groupPlans() []groupPlan {
	return []groupPlan{
		{"Audience", true, []string{"Consumers", "Partners", "Press", "Employees"}, []int{40, 20, 10, 10, 20}},
		{"Product", false, []string{"Aurora", "Borealis", "Comet", "Dune"}, []int{20, 20, 20, 20, 20}},
		{"Region", true, []string{"EMEA", "Americas", "APAC"}, []int{35, 30, 20, 15}},
		{"Status", false, []string{"Draft", "Approved", "Rejected"}, []int{20, 60, 12, 8}},
	}
}

// colors are those that the document allows for label choices.
func colors() []string {
	return []string{"#4ECFD5", "#FFC700", "#FF98A7", "#702BD5", "#5FEEAD", "#D6C4F2", "#5F9FF6", "#CB5DEB", "#9694B3"}
}
