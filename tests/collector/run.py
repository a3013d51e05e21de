#!/usr/bin/env python3
"""What a collector would make of deploy/otel-collector.yaml, as far as that can be told without one: `run.py [otelcol]`.

Every component that a pipeline names is there, every component that is there is named or explained, and receivers, processors and
exporters are of kinds that do what the pipeline wants. With a collector's binary as the argument, that judges the file as well.
Needs PyYAML (Debian: python3-yaml).
"""

import os
import pathlib
import subprocess
import sys

import yaml

FILE = pathlib.Path(__file__).resolve().parents[2] / "deploy" / "otel-collector.yaml"

# Kinds of components of the distribution that the file names (otel/opentelemetry-collector-contrib), and the signals that they know.
KINDS = {
    "receivers": {"otlp": {"traces", "metrics"}, "prometheus": {"metrics"}},
    "processors": {
        "memory_limiter": {"traces", "metrics"},
        "batch": {"traces", "metrics"},
        "tail_sampling": {"traces"},
    },
    "exporters": {"otlphttp": {"traces", "metrics"}, "debug": {"traces", "metrics"}},
    "extensions": {"health_check": set()},
}

# Those that are there to be added by whoever wants them, as the comment above each says.
OPTIONAL = {"tail_sampling", "debug"}


class Strict(yaml.SafeLoader):
    """YAML in which no key comes twice."""


def mapping(loader, node):
    keys = [loader.construct_object(key) for key, _ in node.value]
    twice = {key for key in keys if keys.count(key) > 1}
    assert not twice, f"twice: {twice}, line {node.start_mark.line + 1}"
    return yaml.SafeLoader.construct_mapping(loader, node, deep=True)


Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def check(config):
    known = {"receivers", "processors", "exporters", "extensions", "service"}
    assert set(config) == known, set(config) ^ known
    used = set()
    for section, kinds in KINDS.items():
        for name in config[section]:
            kind = name.split("/")[0]
            assert kind in kinds, f"{section}: {name} is no kind that is known here"
    for name in config["service"]["extensions"]:
        assert name in config["extensions"], f"the extension {name} is not there"
        used.add(name)
    pipelines = config["service"]["pipelines"]
    assert set(pipelines) == {"traces", "metrics"}, pipelines
    for signal, pipeline in pipelines.items():
        assert set(pipeline) == {"receivers", "processors", "exporters"}, pipeline
        for section, names in pipeline.items():
            assert names, f"{signal}: no {section}"
            assert len(names) == len(set(names)), f"{signal}: {section} twice"
            for name in names:
                assert name in config[section], f"{signal}: {name} is not among the {section}"
                kind = name.split("/")[0]
                assert signal in KINDS[section][kind], f"{name} knows no {signal}"
                used.add(name)
        # What says no has to come before what collects.
        assert pipeline["processors"][0] == "memory_limiter", pipeline
    there = {name for section in KINDS for name in config[section]}
    unused = there - used
    assert unused == OPTIONAL, f"{unused}: in no pipeline"
    protocols = config["receivers"]["otlp"]["protocols"]
    ports = {name: protocol["endpoint"].rsplit(":", 1)[1] for name, protocol in protocols.items()}
    assert ports == {"http": "4318", "grpc": "4317"}, ports


def main():
    check(yaml.load(FILE.read_text(), Strict))
    if len(sys.argv) > 1:
        environment = os.environ | {"OTLP_BACKEND": "http://127.0.0.1:4318"}
        subprocess.run([sys.argv[1], "validate", "--config", FILE], env=environment, check=True)
    print("deploy/otel-collector.yaml is well formed")


main()
