//! Keys and tokens.

use super::*;

/// So many letters and digits. Put together here, so that no scanner takes this file's examples for real ones.
fn tail(count: usize) -> String {
    "a1B2c3D4e5F6g7H8i9J0".chars().cycle().take(count).collect()
}

#[test]
fn keys_of_makers() {
    for (name, prefix, count) in [
        ("OPENAI_API_KEY", "sk-", 48),
        ("OPENAI_API_KEY", "sk-proj-", 120),
        ("OPENAI_API_KEY", "sk-svcacct-", 60),
        ("ANTHROPIC_API_KEY", "sk-ant-api03-", 95),
        ("STRIPE_API_KEY", "sk_live_", 24),
        ("STRIPE_API_KEY", "rk_test_", 24),
        ("STRIPE_API_KEY", "whsec_", 32),
        ("GITHUB_TOKEN", "ghp_", 36),
        ("GITHUB_TOKEN", "gho_", 36),
        ("GITHUB_TOKEN", "github_pat_", 82),
        ("GITLAB_TOKEN", "glpat-", 20),
        ("SLACK_TOKEN", "xoxb-", 40),
        ("SLACK_TOKEN", "xapp-1-", 40),
        ("SLACK_TOKEN", "hooks.slack.com/services/", 40),
        ("GOOGLE_API_KEY", "AIza", 35),
        ("GOOGLE_API_KEY", "ya29.", 60),
        ("GOOGLE_API_KEY", "GOCSPX-", 28),
        ("HUGGING_FACE_TOKEN", "hf_", 34),
        ("API_KEY", "gsk_", 52),
        ("API_KEY", "xai-", 80),
        ("API_KEY", "npm_", 36),
        ("API_KEY", "hvs.", 40),
    ] {
        let key = format!("{prefix}{}", tail(count));
        for text in [
            "⟦⟧",
            "key: ⟦⟧.",
            "{\"error\":\"bad key ⟦⟧\"}",
            "키는 ⟦⟧입니다",
            "a\\n⟦⟧\\n",
            "KEY=⟦⟧",
        ] {
            let text = text.replace("⟦⟧", &format!("⟦{key}⟧"));
            are_found(name, &[&text]);
        }
    }
    for prefix in ["AKIA", "ASIA"] {
        are_found(
            "AWS_ACCESS_KEY",
            &[&format!("id ⟦{prefix}IOSFODNN7EXAMPL3⟧")],
        );
    }
    let secret = format!("{}/+{}", tail(19), tail(19));
    are_found(
        "AWS_SECRET_KEY",
        &[
            &format!("aws_secret_access_key = ⟦{secret}⟧"),
            &format!("{{\"SecretAccessKey\":\"⟦{secret}⟧\"}}"),
        ],
    );
    for text in [
        "sk-",
        "sk-short",
        "sk-learn-is-a-library-of-many-words",
        "task-0123456789012345678901234567890",
        "AKIAIOSFODNN7EXAMPL",
        "AKIAIOSFODNN7EXAMPL34",
        "AIzaShort",
        "xoxb-",
        "ghp_tooshort1",
        "hf_model",
        "github_pat_",
        "SG.",
        "my-sk-ipped-word-that-is-long",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn bearer_tokens() {
    let token = tail(24);
    are_found(
        "BEARER_TOKEN",
        &[
            &format!("Authorization: Bearer ⟦{token}⟧"),
            &format!("{{\"authorization\":\"bearer ⟦{token}⟧\"}}"),
            "Authorization: Basic ⟦dXNlcjpwYXNzd29yZA==⟧",
        ],
    );
    are_not_found(
        "BEARER_TOKEN",
        &[
            "the bearer of this",
            "Basic instructions for all",
            "Bearer short1",
        ],
    );
}

#[test]
fn web_tokens() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U";
    are_found(
        "JWT",
        &[
            &format!("⟦{jwt}⟧"),
            &format!("token \"⟦{jwt}⟧\""),
            &format!("토큰⟦{jwt}⟧입니다"),
        ],
    );
    are_not_found(
        "JWT",
        &[
            "eyJhbGciOiJIUzI1NiJ9",
            "eyJhbGciOiJIUzI1NiJ9.abc.def",
            "eyJ.eyJ.x",
            "xeyJhbGciOiJIUzI1NiJ9.eyJzdWIi.abc",
        ],
    );
}

#[test]
fn private_keys() {
    let body = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7";
    for sort in [
        "PRIVATE KEY",
        "RSA PRIVATE KEY",
        "ENCRYPTED PRIVATE KEY",
        "OPENSSH PRIVATE KEY",
        "PGP PRIVATE KEY BLOCK",
    ] {
        for line in ["\n", "\\n", "\r\n"] {
            let key = format!(
                "-----BEGIN {sort}-----{line}{body}{line}{body}=={line}-----END {sort}-----"
            );
            are_found(
                "PRIVATE_KEY",
                &[&format!("⟦{key}⟧"), &format!("key: \"⟦{key}⟧\", and")],
            );
        }
    }
    are_found(
        "PRIVATE_KEY",
        &[&format!("⟦-----BEGIN PRIVATE KEY-----\n{body}⟧")],
    );
    are_not_found(
        "PRIVATE_KEY",
        &[
            "-----BEGIN CERTIFICATE-----\nMIIE\n-----END CERTIFICATE-----",
            "-----BEGIN PUBLIC KEY-----",
            "PRIVATE KEY",
            "----BEGIN PRIVATE KEY----",
        ],
    );
}
