package fsm_test

import (
	"reflect"
	"strconv"
	"testing"

	"github.com/authfi/authfi/directory"
)

// setAll sets every field of what a pointer points to, but those of a higher level.
func setAll(t *testing.T, pointer any, level directory.Level) {
	t.Helper()
	fillValue(t, reflect.ValueOf(pointer).Elem(), level)
}

func fillValue(t *testing.T, v reflect.Value, level directory.Level) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("text")
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uint:
		v.SetUint(1)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Int:
		v.SetInt(1)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillValue(t, v.Elem(), level)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fallthrough
	case reflect.Array:
		for i := range v.Len() {
			fillValue(t, v.Index(i), level)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			tag, tagged := v.Type().Field(i).Tag.Lookup("level")
			if of, err := strconv.Atoi(tag); tagged && err == nil && directory.Level(of) > level {
				continue
			}
			fillValue(t, v.Field(i), level)
		}
	case reflect.Interface: // the command of an envelope is filled by itself
	default:
		t.Fatalf("nothing to fill a %s with", v.Type())
	}
}
