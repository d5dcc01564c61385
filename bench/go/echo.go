// An echo on AIStore's own Go framework, as the benchmark's peer: buffered, or streamed with the argument "stream".
package main

import (
	"bytes"
	"io"
	"log"
	"os"
	"strconv"

	"github.com/NVIDIA/aistore/ext/etl/webserver"
)

type buffered struct{ webserver.ETLServer }

func (*buffered) Transform(input io.ReadCloser, _, _ string) (io.ReadCloser, int64, error) {
	defer input.Close()
	data, err := io.ReadAll(input)
	if err != nil {
		return nil, 0, err
	}
	return io.NopCloser(bytes.NewReader(data)), int64(len(data)), nil
}

type streamed struct{ webserver.ETLServer }

func (*streamed) Transform(input io.ReadCloser, _, _ string) (io.ReadCloser, int64, error) {
	return input, -1, nil
}

func main() {
	port, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	var server webserver.ETLServer = &buffered{}
	if len(os.Args) > 2 && os.Args[2] == "stream" {
		server = &streamed{}
	}
	log.Fatal(webserver.Run(server, "127.0.0.1", port))
}
