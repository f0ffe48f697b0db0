"""What an operator runs beside the program: is this machine fit for it, and copies of what it keeps."""
