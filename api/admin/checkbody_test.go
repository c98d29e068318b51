package admin

import (
	"testing"

	authfiv1 "github.com/authfi/authfi/proto/gen/authfi/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// FuzzReadCheck: whatever the short way reads, the library reads too, and as the
// same.
func FuzzReadCheck(f *testing.F) {
	for _, body := range []string{
		`{"user_id":"usr-1","permission":"read:x"}`, `{"userId":"u","permission":"p"}`, `{"permission":"","user_id":""}`,
		" {\n\t\"permission\" : \"p\" ,\r \"user_id\" : \"u\" } ", `{"user_id":"a","userId":"b","permission":"p"}`,
		`{"user_id":"a","permission":"p","permission":"q"}`, `{"user_id":"a","permission":"p",}`, `{,"user_id":"a","permission":"p"}`,
		`{"user_id":"a\n","permission":"p"}`, `{"user_id":"é","permission":"p"}`, `{"user_id":null,"permission":"p"}`,
		`{"user_id":"a","permission":"p"}}`, `{"user_id":"a","permission":"p"`, `{"user_id":"a"}`, `{}`, ``, `{"user_id":"a","permission":"p","checks":[]}`,
		"{\"user_id\":\"\x00\",\"permission\":\"\x7f\"}",
	} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		short, long := &authfiv1.CheckRequest{}, &authfiv1.CheckRequest{}
		if !readCheck(body, short) {
			if !proto.Equal(short, long) {
				t.Fatalf("%q was refused and has left %v", body, short)
			}
			return
		}
		if err := protojson.Unmarshal(body, long); err != nil || !proto.Equal(short, long) {
			t.Fatalf("%q: %v, want %v, %v", body, short, long, err)
		}
	})
}

// TestReadCheck: the forms that clients write go the short way.
func TestReadCheck(t *testing.T) {
	for _, body := range []string{
		`{"user_id":"u","permission":"p"}`, `{"userId":"u","permission":"p"}`, `{"permission":"p","user_id":"u"}`,
		"{\n  \"user_id\": \"u\",\n  \"permission\": \"p\"\n}\n",
	} {
		r := &authfiv1.CheckRequest{}
		if !readCheck([]byte(body), r) || r.UserId != "u" || r.Permission != "p" {
			t.Errorf("%q: %v", body, r)
		}
	}
}
