//! The `.env` file beside the configuration.
