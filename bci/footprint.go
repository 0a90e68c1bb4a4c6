package bci

import (
	"reflect"
	"unsafe"
)

// footprint counts the bytes that a value refers to: its slices at their capacity, what
// its pointers, interfaces, maps and strings hold; everything once, and nothing of
// functions and channels. Opened stages have allocated all they will ever need, so this
// is their state.
func footprint(values ...any) int64 {
	f := walker{}
	var sum int64
	for _, v := range values {
		sum += f.of(reflect.ValueOf(v))
	}
	return sum
}

// walker remembers what was counted.
type walker map[unsafe.Pointer]bool

func (f walker) first(p unsafe.Pointer) bool {
	if p == nil || f[p] {
		return false
	}
	f[p] = true
	return true
}

func (f walker) of(v reflect.Value) (sum int64) {
	switch v.Kind() {
	case reflect.Pointer:
		if f.first(v.UnsafePointer()) {
			sum = int64(v.Type().Elem().Size()) + f.of(v.Elem())
		}
	case reflect.Interface:
		sum = f.of(v.Elem())
	case reflect.Slice:
		if v.Cap() == 0 || !f.first(v.UnsafePointer()) {
			return 0
		}
		sum = int64(v.Cap()) * int64(v.Type().Elem().Size())
		if refers(v.Type().Elem()) {
			for i := range v.Len() {
				sum += f.of(v.Index(i))
			}
		}
	case reflect.Array:
		if refers(v.Type().Elem()) {
			for i := range v.Len() {
				sum += f.of(v.Index(i))
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			sum += f.of(v.Field(i))
		}
	case reflect.Map:
		for i := v.MapRange(); i.Next(); {
			sum += int64(v.Type().Key().Size()+v.Type().Elem().Size()) + f.of(i.Key()) + f.of(i.Value())
		}
	case reflect.String:
		sum = int64(v.Len())
	}
	return sum
}

// refers reports whether values of a type can hold memory outside themselves.
func refers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Array:
		return refers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if refers(t.Field(i).Type) {
				return true
			}
		}
		return false
	case reflect.Pointer, reflect.Interface, reflect.Slice, reflect.Map, reflect.String:
		return true
	}
	return false
}
