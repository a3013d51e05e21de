//! Every function of the border, called as a gateway calls it, in process and so under valgrind:
//! see the README of this crate.

mod driven;
mod gateway;
mod numbers;
mod probe;
mod provider;
mod services;
mod stage;
mod wait;
