"""The networks that turn a picture into a control image."""
