// An echo on AIStore's own Go framework, as the benchmark's peer. The framework
// closes the object when Transform returns, so that every object is in memory whole.
package main

import (
	"bytes"
	"errors"
	"io"
	"log"
	"os"
	"strconv"

	"github.com/NVIDIA/aistore/ext/etl/webserver"
)

// What begins so is refused, for instore check.
var refused = []byte("bad object")

type echo struct{ webserver.ETLServer }

func (*echo) Transform(input io.ReadCloser, _, _ string) (io.ReadCloser, int64, error) {
	defer input.Close()
	data, err := io.ReadAll(input)
	if err != nil {
		return nil, 0, err
	}
	if bytes.HasPrefix(data, refused) {
		return nil, 0, errors.New("it is bad")
	}
	return io.NopCloser(bytes.NewReader(data)), int64(len(data)), nil
}

func main() {
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(webserver.Run(&echo{}, "127.0.0.1", port))
}
