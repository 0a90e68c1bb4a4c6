package decoders

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"neurostream/recordings/hdf5"
	"neurostream/recordings/npz"
)

// maxNetworkFile bounds an imported file, bytes.
const maxNetworkFile = 64 << 20

// ReadNetworkFile reads a network that was trained elsewhere, and runs its probe. Two
// layouts of ours are read, told apart by content.
//
// JSON: a [NetworkFile].
//
// NPZ (numpy.savez): the same with its numbers as arrays. "header" is the text of the JSON
// file as bytes (dtype uint8), without vectors and matrices; these are arrays called
// LAYER.FIELD with the number of the layer, from 0, and the field's name in the JSON file,
// and "probe.input" and "probe.output", steps × values:
//
//	header = {"format": "neurostream-snn", "version": 1, "layers": [
//	    {"type": "linear"}, {"type": "lif", "size": 64, "order": "delayed", "reset": "subtract"}, …]}
//	numpy.savez("net.npz", header=numpy.frombuffer(json.dumps(header).encode(), numpy.uint8),
//	    **{"0.weights": w0, "0.bias": b0, "1.beta": beta, …, "probe.input": x, "probe.output": y})
//
// A third one is not ours: NIR files (HDF5, as nir.write makes them), with steps of dt
// seconds; see [ParseNIR] for what is read of them. dt is ignored otherwise, and 0 is 1e-4.
func ReadNetworkFile(path string, dt float64) (*NetworkFile, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxNetworkFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxNetworkFile {
		return nil, fmt.Errorf("%s: larger than %d MiB, so it is not read as a network", path, maxNetworkFile>>20)
	}
	var n *NetworkFile
	if bytes.HasPrefix(b, []byte(hdf5.Magic)) {
		if dt == 0 {
			dt = 1e-4
		}
		n, err = ParseNIR(b, dt)
	} else {
		n, err = ParseNetworkFile(b)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return n, nil
}

// ParseNetworkFile reads either layout of ours and checks it: a network without a probe is
// refused, because only a probe shows that its conventions are ours.
func ParseNetworkFile(b []byte) (*NetworkFile, error) {
	var f *NetworkFile
	var err error
	if bytes.HasPrefix(b, []byte("PK")) {
		f, err = fromArrays(b)
	} else {
		f, err = fromJSON(b)
	}
	if err != nil {
		return nil, err
	}
	if f.Probe == nil {
		return nil, errors.New("the network carries no probe: an input and the output it must give, to see that its conventions are understood")
	}
	if _, err := f.Build(); err != nil {
		return nil, err
	}
	return f, nil
}

func fromJSON(b []byte) (*NetworkFile, error) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	f := new(NetworkFile)
	if err := dec.Decode(f); err != nil {
		return nil, fmt.Errorf("byte %d: %w", dec.InputOffset(), err)
	}
	return f, nil
}

func fromArrays(b []byte) (*NetworkFile, error) {
	arrays, err := npz.Parse(b)
	if err != nil {
		return nil, err
	}
	h, ok := arrays["header"]
	if !ok {
		return nil, errors.New(`no array "header" with the network's description`)
	}
	text := make([]byte, len(h.Data))
	for i, v := range h.Data {
		if v < 0 || v > 255 || v != float64(byte(v)) {
			return nil, fmt.Errorf(`value %d of "header" is %v, not a byte`, i+1, v)
		}
		text[i] = byte(v)
	}
	f, err := fromJSON(text)
	if err != nil {
		return nil, fmt.Errorf("header: %w", err)
	}
	for name, a := range arrays {
		if name == "header" {
			continue
		}
		if err := f.place(name, a); err != nil {
			return nil, fmt.Errorf("array %q: %w", name, err)
		}
	}
	return f, nil
}

// place puts one array where its name says.
func (f *NetworkFile) place(name string, a npz.Array) error {
	at, field, ok := strings.Cut(name, ".")
	if !ok {
		return errors.New("names are LAYER.FIELD, probe.input or probe.output")
	}
	var vector *[]float64
	var matrix *[][]float64
	if at == "probe" {
		if f.Probe == nil {
			f.Probe = new(Probe)
		}
		switch field {
		case "input":
			matrix = &f.Probe.Input
		case "output":
			matrix = &f.Probe.Output
		default:
			return errors.New("a probe has input and output")
		}
	} else {
		k, err := strconv.Atoi(at)
		if err != nil || k < 0 || k >= len(f.Layers) {
			return fmt.Errorf("there is no layer %q; the header lists %d, from 0", at, len(f.Layers))
		}
		l := &f.Layers[k]
		switch field {
		case "weights":
			matrix = &l.Weights
		case "recurrent":
			matrix = &l.Recurrent
		case "positions":
			matrix = &l.Positions
		case "bias":
			vector = &l.Bias
		case "beta":
			vector = &l.Beta
		case "tau":
			vector = &l.Tau
		case "w":
			vector = &l.W
		case "tau_syn":
			vector = &l.TauSyn
		case "tau_mem":
			vector = &l.TauMem
		default:
			return l.placeELM(field, a)
		}
	}
	return put(a, vector, matrix)
}

// placeELM puts an array of an ELM cell, "elm.W1" and so on.
func (l *LayerFile) placeELM(field string, a npz.Array) error {
	field, ok := strings.CutPrefix(field, "elm.")
	if !ok || l.ELM == nil {
		return fmt.Errorf("a %s layer has no such field", l.Type)
	}
	e := l.ELM
	switch field {
	case "synapses":
		return put(a, &e.Synapses, nil)
	case "tau_memory":
		return put(a, &e.TauMemory, nil)
	case "b1":
		return put(a, &e.B1, nil)
	case "b2":
		return put(a, &e.B2, nil)
	case "by":
		return put(a, &e.By, nil)
	case "W1":
		return put(a, nil, &e.W1)
	case "W2":
		return put(a, nil, &e.W2)
	case "Wy":
		return put(a, nil, &e.Wy)
	}
	return errors.New("an ELM cell has no such field")
}

// put stores an array as a vector or a matrix; a single number is a vector of one.
func put(a npz.Array, vector *[]float64, matrix *[][]float64) error {
	if vector != nil {
		if len(a.Shape) > 1 {
			return fmt.Errorf("shape %v; it is a vector", a.Shape)
		}
		*vector = a.Data
		return nil
	}
	if len(a.Shape) != 2 || a.Shape[0] == 0 || a.Shape[1] == 0 {
		return fmt.Errorf("shape %v; it is a matrix", a.Shape)
	}
	m := make([][]float64, a.Shape[0])
	for i := range m {
		m[i] = a.Data[i*a.Shape[1] : (i+1)*a.Shape[1] : (i+1)*a.Shape[1]]
	}
	*matrix = m
	return nil
}
