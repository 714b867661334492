mod engine;
mod states;
