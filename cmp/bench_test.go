package cmp

import (
	"fmt"
	"strings"
	"testing"
)

func rowJSON(i int) string {
	return fmt.Sprintf(`{"id":"%032x","title":"Summer campaign hero image number %d — München","type":"image","mime_type":"image/jpeg","file_extension":"jpg","created_at":"2024-05-01T10:%02d:00Z","modified_at":"2025-06-02T11:%02d:30Z","folder_id":"1d9d8aeca10811ebbc640242ac12001b","file_location":"/Brand/Campaigns/Summer 2025/Hero","is_archived":false,"content":{"type":"url","value":"https://images.cmp.optimizely.com/download/assets/Summer+campaign/%032x?token=%s"},"labels":[{"group":{"id":"693c3b28b10a22800e1936fa53324ac1","name":"Status"},"values":[{"id":"6706efc7828cd6aaedbc0434139cd3e1","name":"Approved"}]},{"group":{"id":"ee63e3ee43925bb5cc8cd17b817d93ee","name":"Audience"},"values":[{"id":"1f32651216cf2aefcaa08be1ea7dedf1","name":"Partners"},{"id":"aa63e3ee43925bb5cc8cd17b817d93aa","name":"Employees"}]}],"links":{"self":"https://api.cmp.optimizely.com/v3/images/%032x"},"owner_organization_id":"5f857f30e1c4a2038d6179e9","thumbnail_url":"https://images.cmp.optimizely.com/Zz0%032x?width=300&token=%s"}`,
		i, i, i%60, (i*7)%60, i, strings.Repeat("eyJhbGciOi", 20), i, i, strings.Repeat("eyJhbGciOi", 20))
}

func pageJSON(n int) []byte {
	rows := make([]string, n)
	for i := range rows {
		rows[i] = rowJSON(i)
	}
	return []byte(`{"data":[` + strings.Join(rows, ",") + `],"pagination":{"next":null,"previous":null},"total_count":` + fmt.Sprint(n) + `}`)
}

func BenchmarkDecodePage(b *testing.B) {
	page := pageJSON(100)
	b.SetBytes(int64(len(page)))
	b.ReportAllocs()
	for b.Loop() {
		p, err := decodePage(page)
		if err != nil || len(p.Items) != 100 {
			b.Fatal(err, len(p.Items))
		}
	}
	b.ReportMetric(100*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}

func BenchmarkStable(b *testing.B) {
	row := []byte(rowJSON(1))
	b.SetBytes(int64(len(row)))
	for b.Loop() {
		if _, err := stable(row, "thumbnail_url", "content.value"); err != nil {
			b.Fatal(err)
		}
	}
}
