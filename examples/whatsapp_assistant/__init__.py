"""A WhatsApp assistant that hears voice notes and answers them in text and in voice."""
