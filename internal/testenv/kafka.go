package testenv

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo"
)

// kafkaVersion is the release of Apache Kafka that kafka/pom.xml asks for.
const kafkaVersion = "4.3.1"

// oldestJava is what that release needs.
const oldestJava = 17

// kafkaAddress is the variable with the address of a running node.
const kafkaAddress = "CDC_TEST_KAFKA"

//go:embed kafka/pom.xml
var kafkaPOM string

//go:embed kafka/server.properties
var kafkaProperties string

//go:embed kafka/log4j2.properties
var kafkaLogging string

// KafkaServer is a single Apache Kafka node: broker and controller in one.
type KafkaServer struct {
	*Server // Addr is the bootstrap address
}

// Kafka starts Apache Kafka, which needs a JDK; without the jars in the cache
// also Maven.
func (e *Env) Kafka(ctx context.Context) (*KafkaServer, error) {
	return e.startKafka(ctx, anySource)
}

func (e *Env) startKafka(ctx context.Context, rule sourceRule) (*KafkaServer, error) {
	s := &KafkaServer{Server: &Server{Kind: KindKafka, env: e}}
	s.alive = s.version
	if err := e.obtain(ctx, s.Server, rule, []source{
		{fromEnvironment, s.connect},
		{fromPackages, s.runPackages},
	}); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *KafkaServer) version(ctx context.Context, _ *Server) (string, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.Addr))
	if err != nil {
		return "", fmt.Errorf("connect to Kafka on %s: %w", s.Addr, err)
	}
	defer client.Close()
	if err := client.Ping(ctx); err != nil {
		return "", fmt.Errorf("connect to Kafka on %s: %w", s.Addr, err)
	}
	if s.engine == nil {
		return "of unknown version", nil // the protocol does not tell it
	}
	return kafkaVersion, nil
}

func (s *KafkaServer) connect(ctx context.Context) error {
	const name = kafkaAddress
	addr := os.Getenv(name)
	if addr == "" {
		return fmt.Errorf("%w: %s is not set", errNotHere, name)
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("read %s: %w; write host:port", name, err)
	}
	if s.Port, err = strconv.Atoi(port); err != nil {
		return fmt.Errorf("read the port in %s: %w", name, err)
	}
	s.Addr, s.Host = addr, host
	s.Version, err = s.version(ctx, s.Server)
	return err
}

func (s *KafkaServer) runPackages(ctx context.Context) error {
	java, jars, err := s.env.kafkaFiles(ctx)
	if err != nil {
		return err
	}
	dir, err := s.env.newServerDir(KindKafka)
	if err != nil {
		return err
	}
	controller, err := freePort()
	if err != nil {
		return err
	}
	logging := filepath.Join(dir, "log4j2.properties")
	if err := s.env.writeFile(logging, kafkaLogging); err != nil {
		return err
	}
	properties := filepath.Join(dir, "server.properties")
	configure := func(port int) error {
		return s.env.writeFile(properties, strings.NewReplacer(
			"@PORT@", strconv.Itoa(port), "@CONTROLLER@", strconv.Itoa(controller),
			"@DIR@", filepath.Join(dir, "data"),
		).Replace(kafkaProperties))
	}
	// Formatting opens no port but insists on two different ones.
	if err := configure(controller%65535 + 1); err != nil {
		return err
	}
	jvm := []string{
		"-Xmx512m", "-XX:-UsePerfData", "-Djava.io.tmpdir=" + filepath.Join(dir, "tmp"),
		"-Dlog4j2.configurationFile=file:" + logging, "-cp", filepath.Join(jars, "*"),
	}
	format := append(append([]string{}, jvm...), "kafka.tools.StorageTool", "format", "--ignore-formatted",
		"-t", "4L6g3nShT-eMCtK--X86sw", "-c", properties)
	if err := once(ctx, s.env, java, dir, "", format...); err != nil {
		return fmt.Errorf("format Kafka's storage: %w", err)
	}
	l := newLocal(KindKafka, java, s.env.user, dir)
	l.stopSig, l.quickSig = syscall.SIGTERM, syscall.SIGKILL
	l.before = configure
	l.args = func(int) []string { return append(append([]string{}, jvm...), "kafka.Kafka", properties) }
	s.engine, s.dir = l, dir
	return s.begin(ctx, nil)
}

// kafkaFiles returns a Java program and the folder with Kafka's jars.
func (e *Env) kafkaFiles(ctx context.Context) (java program, jars string, err error) {
	path, ok := lookProgram("java")
	if !ok {
		return program{}, "", fmt.Errorf("%w: no java on PATH", errNotHere)
	}
	out, err := exec.CommandContext(ctx, path, "-version").CombinedOutput()
	if err != nil || majorVersion(string(out)) < oldestJava {
		return program{}, "", fmt.Errorf("%w: %s is not Java %d or later", errNotHere, path, oldestJava)
	}
	if jars, err = e.fetchKafka(ctx); err != nil {
		return program{}, "", err
	}
	return program{path: path}, jars, nil
}

// fetchKafka has Maven copy Kafka's jars into the cache, once.
func (e *Env) fetchKafka(ctx context.Context) (jars string, err error) {
	name := "kafka-" + kafkaVersion
	dir, err := e.cached(ctx, name, name+" (Maven)", func(dir string) (string, error) {
		mvn, err := exec.LookPath("mvn")
		if err != nil {
			return "", fmt.Errorf("download Kafka's jars: %w", err)
		}
		pom := filepath.Join(dir, "pom.xml")
		if err := os.WriteFile(pom, []byte(strings.ReplaceAll(kafkaPOM, "@VERSION@", kafkaVersion)), 0o644); err != nil {
			return "", fmt.Errorf("write Kafka's pom: %w", err)
		}
		// A repository of its own, so that clearing the cache undoes everything.
		repository := filepath.Join(dir, "repository")
		err = run(ctx, mvn, "-B", "-q", "-f", pom, "-Dmaven.repo.local="+repository,
			"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+filepath.Join(dir, "jars"))
		return kafkaVersion, errors.Join(err, os.RemoveAll(repository))
	})
	if err != nil {
		return "", fmt.Errorf("%w: %w", errUnavailable, err)
	}
	return filepath.Join(dir, "jars"), nil
}
