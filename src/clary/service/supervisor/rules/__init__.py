"""The rules of training jobs beside them: started, watched, acted upon, ended."""
