use base64::{Engine, prelude::BASE64_STANDARD};

use super::*;

fn vectors(body: &Value) -> Vec<Vec<f64>> {
    let reply = document(Endpoint::Embeddings, body);
    let data = reply["data"].as_array().unwrap();
    for (index, entry) in data.iter().enumerate() {
        assert_eq!(entry["object"], "embedding");
        assert_eq!(entry["index"], index);
    }
    let numbers = |entry: &Value| {
        let list = entry["embedding"].as_array().unwrap();
        list.iter().map(|x| x.as_f64().unwrap()).collect()
    };
    data.iter().map(numbers).collect()
}

#[test]
fn vectors_are_equal_for_equal_input_only_and_of_length_1() {
    let all = vectors(&json!({"input": ["a", "b", "a", "한국어", "a "]}));
    assert_eq!(all[0], all[2]);
    for (one, other) in [(0, 1), (0, 3), (0, 4), (1, 3)] {
        assert_ne!(all[one], all[other]);
    }
    for vector in &all {
        assert_eq!(vector.len(), 256);
        let length: f64 = vector.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-5, "{length}");
    }
    assert_eq!(vectors(&json!({"input": "a"}))[0], all[0]);
    let tokens = vectors(&json!({"input": [[97], [98]]}));
    assert_ne!(tokens[0], tokens[1]);
    assert_ne!(tokens[0], all[0]);
}

#[test]
fn dimensions_are_honoured() {
    for dimensions in [1, 2, 1536, 4096] {
        let vector = &vectors(&json!({"input": "a", "dimensions": dimensions}))[0];
        assert_eq!(vector.len(), dimensions);
    }
}

#[test]
fn base64_holds_the_same_numbers() {
    let reply = document(
        Endpoint::Embeddings,
        &json!({"input": "a", "encoding_format": "base64"}),
    );
    let text = reply["data"][0]["embedding"].as_str().unwrap();
    let bytes = BASE64_STANDARD.decode(text).unwrap();
    let (numbers, rest) = bytes.as_chunks::<4>();
    assert!(rest.is_empty());
    let decoded: Vec<f32> = numbers.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let listed = &vectors(&json!({"input": "a", "encoding_format": "float"}))[0];
    let listed: Vec<f32> = listed.iter().map(|x| *x as f32).collect();
    assert_eq!(decoded, listed);
}

#[test]
fn usage_counts_words_and_token_numbers() {
    let usage =
        |input: Value| document(Endpoint::Embeddings, &json!({"input": input}))["usage"].clone();
    assert_eq!(
        usage(json!(["a b", "c"])),
        json!({"prompt_tokens": 3, "total_tokens": 3})
    );
    assert_eq!(
        usage(json!([1, 2])),
        json!({"prompt_tokens": 2, "total_tokens": 2})
    );
}

#[test]
fn what_is_no_input_is_refused() {
    assert_refused(
        Endpoint::Embeddings,
        &[
            (json!({}), "input"),
            (json!({"input": ""}), "input"),
            (json!({"input": ["a", ""]}), "input"),
            (json!({"input": []}), "input"),
            (json!({"input": {"text": "a"}}), "input"),
            (json!({"input": [-1]}), "input"),
            (json!({"input": vec!["a"; 2049]}), "input"),
            (json!({"input": "a", "dimensions": 0}), "dimensions"),
            (json!({"input": "a", "dimensions": 100_000}), "dimensions"),
            (
                json!({"input": "a", "encoding_format": "hex"}),
                "encoding_format",
            ),
        ],
    );
}
