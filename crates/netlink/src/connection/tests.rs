mod batches;
mod dumps;
mod script;
