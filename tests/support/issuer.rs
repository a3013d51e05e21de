//! A company's sign-on: it signs tokens, and publishes its keys.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
        RsaKeyPair, RsaPublicKeyComponents,
    },
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

/// Who the tokens are from and for.
pub const ISSUER: &str = "https://sso.example.com";
pub const AUDIENCE: &str = "millgate";

/// A key of the sign-on.
pub struct Key {
    pub id: String,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
}

pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Key {
    pub fn rsa(id: &str) -> Self {
        Self::of(
            id,
            Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()),
        )
    }

    pub fn ec(id: &str) -> Self {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
        Self::of(id, Pair::Ec(pair))
    }

    pub fn ed(id: &str) -> Self {
        Self::of(id, Pair::Ed(Ed25519KeyPair::generate().unwrap()))
    }

    fn of(id: &str, pair: Pair) -> Self {
        let id = id.to_owned();
        Self { id, pair }
    }

    /// What the key signs with.
    pub fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
            Pair::Ed(_) => "EdDSA",
        }
    }

    /// The public half, as RFC 7517 has it.
    pub fn public(&self) -> Value {
        let mut key = match &self.pair {
            Pair::Rsa(pair) => {
                let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "n": base64url(public.n), "e": base64url(public.e)})
            }
            Pair::Ec(pair) => {
                let point = pair.public_key().as_ref();
                json!({"kty": "EC", "crv": "P-256", "x": base64url(&point[1..33]), "y": base64url(&point[33..])})
            }
            Pair::Ed(pair) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key().as_ref())})
            }
        };
        key["kid"] = self.id.as_str().into();
        key["use"] = "sig".into();
        key
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.algorithm(), "kid": self.id}), claims)
    }

    /// The same with a header of the test's own.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        let signed = format!(
            "{}.{}",
            base64url(header.to_string()),
            base64url(claims.to_string())
        );
        let signature = self.sign(signed.as_bytes());
        format!("{signed}.{}", base64url(signature))
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature)
                    .unwrap();
                signature
            }
            Pair::Ec(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed(pair) => pair.sign(message).as_ref().to_vec(),
        }
    }
}

/// Claims of a token that is good for an hour.
pub fn claims(user: &str) -> Value {
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": user, "exp": seconds_from_now(3600)})
}

/// The time as tokens have it.
pub fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + seconds
}

/// The document that publishes keys.
pub fn document(keys: &[&Key]) -> String {
    let keys: Vec<_> = keys.iter().map(|key| key.public()).collect();
    json!({ "keys": keys }).to_string()
}

/// A server of keys.
#[derive(Clone)]
pub struct Published {
    pub url: String,
    shared: Arc<Shared>,
}

struct Shared {
    /// Status and body.
    reply: Mutex<(u16, String)>,
    asked: watch::Sender<usize>,
    is_open: watch::Sender<bool>,
}

impl Published {
    /// Serves this document.
    pub async fn start(document: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks?tenant=1", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            reply: Mutex::new((200, document)),
            asked: watch::Sender::new(0),
            is_open: watch::Sender::new(true),
        });
        let served = shared.clone();
        tokio::task::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = served.clone();
                let answer = move |_: Request<Incoming>| answer(shared.clone());
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service_fn(answer));
                tokio::task::spawn(connection);
            }
        });
        Self { url, shared }
    }

    pub fn set(&self, status: u16, document: impl Into<String>) {
        *self.shared.reply.lock().unwrap() = (status, document.into());
    }

    /// Lets answers wait, or go.
    pub fn open(&self, is_open: bool) {
        self.shared.is_open.send_replace(is_open);
    }

    /// How often it has been asked.
    pub fn asked(&self) -> usize {
        *self.shared.asked.borrow()
    }

    /// Waits until it has been asked so often.
    pub async fn wait_for(&self, times: usize) {
        let mut asked = self.shared.asked.subscribe();
        let wait = asked.wait_for(|asked| *asked >= times);
        let waited = tokio::time::timeout(super::PATIENCE, wait).await;
        drop(waited.expect("nobody asks for keys").unwrap());
    }
}

async fn answer(shared: Arc<Shared>) -> Result<Response<Full<Bytes>>, Infallible> {
    shared.asked.send_modify(|asked| *asked += 1);
    let mut is_open = shared.is_open.subscribe();
    let _ = is_open.wait_for(|is_open| *is_open).await;
    let (status, body) = shared.reply.lock().unwrap().clone();
    let response = Response::builder().status(status).body(Full::from(body));
    Ok(response.unwrap())
}
